// Submit a request over HTTP, as often as it takes, and look how it stands.

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Set;

public class SubmitHttp {
    static final String REQUEST = """
        {"source": "example", "source_id": "2022-11-24-0017", "kind": "groceries", "community": "tiebei",
         "address": {"building": "1", "unit": "1", "room": "101"},
         "resident": {"name": "示例居民", "phone": "+86 100 0000 0000", "language": "zh"},
         "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}]}
        """;
    static final Set<Integer> NOT_NOW = Set.of(429, 502, 503, 504);
    // Else it asks for HTTP/2 first, which a plain connection does not offer.
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(System.getenv("HTTP_URL") + path))
            .header("Authorization", "Bearer " + System.getenv("TOKEN"))
            .timeout(Duration.ofSeconds(10));
    }

    static HttpResponse<String> submit() throws InterruptedException {
        HttpRequest request = to("/api/intake/requests")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(REQUEST))
            .build();
        for (int tries = 0; tries < 5; tries++) {
            try {
                HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
                if (!NOT_NOW.contains(answer.statusCode())) {
                    return answer;
                }
            } catch (IOException error) {
                // Whether it arrived is not known: the same again does no harm.
            }
            Thread.sleep(2_000);
        }
        throw new IllegalStateException("no answer; send the same again later");
    }

    public static void main(String[] arguments) throws Exception {
        HttpResponse<String> answer = submit();
        System.out.println(answer.body());
        if (answer.statusCode() == 202) {
            String place = answer.headers().firstValue("Location").orElseThrow();
            System.out.println(CLIENT.send(to(place).build(), BodyHandlers.ofString()).body());
        }
    }
}
