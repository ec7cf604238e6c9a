// Submit a request over AMQP and wait for the answer.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

public class SubmitAmqp {
    static final String REQUEST = """
        {"source": "example", "source_id": "2022-11-24-0017", "kind": "groceries", "community": "tiebei",
         "address": {"building": "1", "unit": "1", "room": "101"},
         "resident": {"name": "示例居民", "phone": "+86 100 0000 0000", "language": "zh"},
         "items": [{"name": "白菜", "quantity": 2, "unit": "颗"}]}
        """;

    public static void main(String[] arguments) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        try (Connection connection = factory.newConnection(); Channel channel = connection.createChannel()) {
            CompletableFuture<String> answer = new CompletableFuture<>();
            channel.addReturnListener(
                returned -> answer.completeExceptionally(new IllegalStateException("no queue takes this")));
            channel.basicConsume("amq.rabbitmq.reply-to", true,
                (tag, delivery) -> answer.complete(new String(delivery.getBody(), UTF_8)), tag -> { });
            String name = UUID.randomUUID().toString();
            AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
                .contentType("application/json")
                .deliveryMode(2)
                .messageId(name)
                .correlationId(name)
                .replyTo("amq.rabbitmq.reply-to")
                .userId(factory.getUsername()) // the broker checks it, so the ledger knows who asked
                .build();
            channel.confirmSelect();
            channel.basicPublish("doorstep.commands", "request.submit", true, properties, REQUEST.getBytes(UTF_8));
            channel.waitForConfirmsOrDie(5_000);
            System.out.println(answer.get(10, TimeUnit.SECONDS));
        }
    }
}
