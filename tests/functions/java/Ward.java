import java.util.Map;

/** A function as AWS's client for Java takes it: a plain method. */
public class Ward {
    public String handle(Map<String, Object> event) {
        return "bed " + event.get("bed");
    }
}
