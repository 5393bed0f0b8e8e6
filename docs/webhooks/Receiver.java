// A receiver of 综治E通 webhooks in plain Java 17: `SECRET=whsec_… java Receiver.java 9000`.

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class Receiver {
  private static final long TOLERANCE_S = 300;
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private static final byte[] KEY =
      Base64.getDecoder().decode(System.getenv("SECRET").replaceFirst("^whsec_", ""));
  /** In production a table: every attempt at one event has the same id. */
  private static final Set<String> SEEN = ConcurrentHashMap.newKeySet();

  public static void main(String[] arguments) throws IOException {
    int port = Integer.parseInt(arguments[0]);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.createContext("/", Receiver::receive);
    server.start();
    OUT.println("listening " + server.getAddress().getPort());
  }

  private static void receive(HttpExchange exchange) throws IOException {
    byte[] body = exchange.getRequestBody().readAllBytes();
    int status = 401;
    if (isGenuine(exchange.getRequestHeaders(), body)) {
      take(exchange.getRequestHeaders().getFirst("webhook-id"), body);
      status = 204;
    }
    exchange.sendResponseHeaders(status, -1);
    exchange.close();
  }

  /** Standard Webhooks: HMAC-SHA256 over id.timestamp.body, over the bytes as they came. */
  private static boolean isGenuine(Headers headers, byte[] body) {
    String id = first(headers, "webhook-id");
    String sentAt = first(headers, "webhook-timestamp");
    if (!sentAt.matches("\\d{1,14}")
        || Math.abs(Instant.now().getEpochSecond() - Long.parseLong(sentAt)) > TOLERANCE_S) {
      return false;
    }
    byte[] wanted = ("v1," + signature(id + "." + sentAt + ".", body)).getBytes(StandardCharsets.UTF_8);
    for (String one : first(headers, "webhook-signature").split(" ")) {
      if (MessageDigest.isEqual(wanted, one.getBytes(StandardCharsets.UTF_8))) {
        return true;
      }
    }
    return false;
  }

  private static String signature(String head, byte[] body) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
      mac.update(head.getBytes(StandardCharsets.UTF_8));
      return Base64.getEncoder().encodeToString(mac.doFinal(body));
    } catch (GeneralSecurityException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Answer within 15 seconds: keep the message, work on it later. */
  private static void take(String id, byte[] body) {
    if (SEEN.add(id)) {
      OUT.println(new String(body, StandardCharsets.UTF_8));
    }
  }

  private static String first(Headers headers, String name) {
    return Optional.ofNullable(headers.getFirst(name)).orElse("");
  }
}
