import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;

/** Answers 200 when Receiver.isOurs accepts a request, and 401 when it does not. */
final class Server {
    public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
        Class.forName("Receiver"); // which needs the secret
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", Server::answer);
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        int status;
        try {
            status = Receiver.isOurs(body, exchange.getRequestHeaders()::getFirst) ? 200 : 401;
        } catch (Exception error) {
            status = 500;
        }
        exchange.sendResponseHeaders(status, -1);
        exchange.close();
    }
}
