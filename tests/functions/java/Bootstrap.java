import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;

/** A runtime in Java: one event after another from the Runtime API. */
public class Bootstrap {
    public static void main(String[] arguments) throws Exception {
        String base = "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
        while (true) {
            HttpURLConnection next = (HttpURLConnection) new URL(base + "next").openConnection();
            String id = next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
            String event = new String(next.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            HttpURLConnection answer = (HttpURLConnection) new URL(base + id + "/response").openConnection();
            answer.setRequestMethod("POST");
            answer.setDoOutput(true);
            answer.getOutputStream().write(("{\"java\": " + event + "}").getBytes(StandardCharsets.UTF_8));
            answer.getInputStream().readAllBytes();
        }
    }
}
