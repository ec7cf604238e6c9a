// Initiates the replica set and makes the users; run by database.sh inside the database's container.
// The first user can be made without a password from the same machine only, and only while there is none.
const read = (path) => require("fs").readFileSync(path, "utf8").trim();

const admin = db.getSiblingDB("admin");
const key = read("/data/configdb/doorstep.key");

const authenticated = () => {
  try {
    return admin.auth("setup", key).ok === 1;
  } catch (error) {
    return false;
  }
};

let known = authenticated();
if (!known) {
  try {
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
  } catch (error) {
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
}
while (!db.hello().isWritablePrimary) sleep(200);
if (!known) {
  admin.createUser({ user: "setup", pwd: key, roles: ["userAdminAnyDatabase"] });
  if (!authenticated()) throw new Error("the set-up user cannot log in");
}

for (const service of ["intake", "dispatch", "notification", "ledger"]) {
  const role = { role: "readWrite", db: `doorstep_${service}` };
  const user = { pwd: read(`/run/secrets/mongo-${service}`), roles: [role] };
  if (admin.getUser(service)) admin.updateUser(service, user);
  else admin.createUser({ user: service, ...user });
}
