import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.Properties;

/** Opens the published file again and again through JDBC, as Reader.java FILE OPENINGS; see reader.py. */
public class Reader {
    static final String QUERY =
        "SELECT (SELECT version FROM snapshot WHERE table_name = 'events'), (SELECT count(*) FROM events), "
        + "(SELECT count(*) FROM outcomes), (SELECT coalesce(sum(stored), 0)::BIGINT FROM ledger)";

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("duckdb.read_only", "true");
        for (int opening = 0; opening < Integer.parseInt(arguments[1]); opening++) {
            try (Connection connection = DriverManager.getConnection("jdbc:duckdb:" + arguments[0], properties)) {
                String first = ask(connection);
                String second = ask(connection);
                if (!first.equals(second)) {
                    throw new IllegalStateException("one opening showed " + first + " and then " + second);
                }
                System.out.println("[\"" + connection.getMetaData().getDatabaseProductVersion() + "\", " + first + "]");
            }
        }
    }

    static String ask(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery(QUERY)) {
            row.next();
            return row.getLong(1) + ", " + row.getLong(2) + ", " + row.getLong(3) + ", " + row.getLong(4);
        }
    }
}
