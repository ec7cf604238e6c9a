// Read all that staff are told, from the last place that was dealt with; that place is kept in a file.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.ConnectionFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

public class FollowStream {
    public static void main(String[] arguments) throws Exception {
        Path kept = Path.of(arguments[0]);
        long place = Files.exists(kept) ? Long.parseLong(Files.readString(kept)) + 1 : 0;
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        Channel channel = factory.newConnection().createChannel();
        channel.basicQos(100);
        channel.basicConsume("doorstep.notifications.log", false, Map.of("x-stream-offset", place),
            (tag, message) -> {
                long offset = (Long) message.getProperties().getHeaders().get("x-stream-offset");
                // A stream begins with a whole chunk, which may hold what was before.
                if (offset >= place) {
                    System.out.println(offset + " " + new String(message.getBody(), UTF_8));
                    Files.writeString(kept, Long.toString(offset));
                }
                channel.basicAck(message.getEnvelope().getDeliveryTag(), false);
            },
            tag -> { });
    }
}
