/* Lucene in the lexical comparison:
 *
 *   Lucene index raw|standard|positions|terms FILE DIR
 *   Lucene serve DIR QUERIES K raw|terms
 *
 * "terms" takes the terms that medicus made; "raw" analyses title and text with EnglishAnalyzer,
 * as its users do ("standard": without stems; "positions": English, with positions). One thread,
 * nothing stored, one segment to search, memory-mapped, BM25 with the parameters that medicus has,
 * and a collector that lets Lucene skip (its default threshold of counted hits). */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.core.WhitespaceAnalyzer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.standard.StandardAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LogByteSizeMergePolicy;
import org.apache.lucene.index.SerialMergeScheduler;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.MMapDirectory;
import org.apache.lucene.util.QueryBuilder;

public final class Lucene {
    private static final BM25Similarity BM25 = new BM25Similarity(1.2f, 0.6f);
    private static final int BATCH = 5000;
    private static final int WARM_UP = 50000;

    private static Analyzer analyzerOf(String kind) {
        switch (kind) {
            case "terms": return new WhitespaceAnalyzer();
            case "standard": return new StandardAnalyzer();
            default: return new EnglishAnalyzer();
        }
    }

    /* Reads up to BATCH documents into memory; what is measured begins behind that. */
    private static List<String> readBatch(BufferedReader reader) throws IOException {
        List<String> batch = new ArrayList<>(BATCH);
        String line;
        while (batch.size() < BATCH && (line = reader.readLine()) != null) {
            batch.add(line.replace('\t', ' '));
        }
        return batch;
    }

    private static final class Built {
        long documents;
        long nanoseconds;
    }

    private static Built build(String kind, Path file, Path dir, long limit, boolean forSearch)
            throws IOException {
        FieldType type = new FieldType();
        type.setTokenized(true);
        type.setIndexOptions(kind.equals("positions")
                ? IndexOptions.DOCS_AND_FREQS_AND_POSITIONS : IndexOptions.DOCS_AND_FREQS);
        type.freeze();
        IndexWriterConfig config = new IndexWriterConfig(analyzerOf(kind));
        config.setOpenMode(IndexWriterConfig.OpenMode.CREATE);
        config.setSimilarity(BM25);
        config.setRAMBufferSizeMB(256);
        config.setUseCompoundFile(false);
        config.setMergeScheduler(new SerialMergeScheduler());
        config.setMergePolicy(new LogByteSizeMergePolicy()); /* keeps the order of documents */
        Built built = new Built();
        try (Directory directory = new MMapDirectory(dir);
                IndexWriter writer = new IndexWriter(directory, config);
                BufferedReader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
            Field field = new Field("text", "", type);
            Document document = new Document();
            document.add(field);
            for (List<String> batch = readBatch(reader);
                    !batch.isEmpty() && built.documents < limit; batch = readBatch(reader)) {
                long start = System.nanoTime();
                for (String text : batch) {
                    field.setStringValue(text);
                    writer.addDocument(document);
                }
                built.nanoseconds += System.nanoTime() - start;
                built.documents += batch.size();
            }
            long start = System.nanoTime();
            writer.commit();
            built.nanoseconds += System.nanoTime() - start;
            if (forSearch) {
                writer.forceMerge(1);
            }
        }
        return built;
    }

    private static long bytesBelow(Path dir) throws IOException {
        long sum = 0;
        try (Directory directory = new MMapDirectory(dir)) {
            for (String name : directory.listAll()) {
                sum += directory.fileLength(name);
            }
        }
        return sum;
    }

    private static void index(String kind, Path file, Path dir) throws IOException {
        Files.createDirectories(dir);
        build(kind, file, dir, WARM_UP, false); /* the compiler has seen everything */
        Built built = build(kind, file, dir, Long.MAX_VALUE, true);
        System.out.printf("{\"documents\":%d,\"seconds\":%.6f,\"bytes\":%d}%n", built.documents,
                built.nanoseconds / 1e9, bytesBelow(dir));
    }

    private static Query queryOf(QueryBuilder builder, String[] question) {
        if (builder != null) {
            return builder.createBooleanQuery("text", question[0]);
        }
        BooleanQuery.Builder query = new BooleanQuery.Builder();
        for (String term : question[1].split(" ")) {
            query.add(new TermQuery(new Term("text", term)), BooleanClause.Occur.SHOULD);
        }
        return query.build();
    }

    private static void answer(IndexSearcher searcher, QueryBuilder builder, List<String[]> queries,
            int k, String command) throws IOException {
        String[] words = command.split(" ");
        int count = Integer.parseInt(words[1]);
        boolean timed = words[0].equals("round");
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < count; i++) {
            long start = System.nanoTime();
            Query query = queryOf(builder, queries.get(i));
            ScoreDoc[] hits = query == null ? new ScoreDoc[0] : searcher.search(query, k).scoreDocs;
            long took = System.nanoTime() - start;
            if (timed) {
                out.append(took).append(' ');
                continue;
            }
            for (ScoreDoc hit : hits) {
                out.append(hit.doc).append(' ');
            }
            out.append('\n');
        }
        System.out.print(timed ? out.append('\n') : out);
        System.out.flush();
    }

    private static void serve(Path dir, Path file, int k, boolean raw) throws IOException {
        List<String[]> queries = new ArrayList<>();
        for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
            queries.add(line.split("\t", 2));
        }
        try (Directory directory = new MMapDirectory(dir);
                DirectoryReader reader = DirectoryReader.open(directory)) {
            IndexSearcher searcher = new IndexSearcher(reader);
            searcher.setSimilarity(BM25);
            searcher.setQueryCache(null);
            QueryBuilder builder = raw ? new QueryBuilder(analyzerOf("raw")) : null;
            BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
            System.out.println("ready");
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                answer(searcher, builder, queries, k, line);
            }
        }
    }

    public static void main(String[] args) throws IOException {
        if (args.length == 4 && args[0].equals("index")) {
            index(args[1], Paths.get(args[2]), Paths.get(args[3]));
        } else if (args.length == 5 && args[0].equals("serve")) {
            serve(Paths.get(args[1]), Paths.get(args[2]), Integer.parseInt(args[3]),
                    args[4].equals("raw"));
        } else {
            System.err.println("usage: Lucene index raw|standard|positions|terms FILE DIR"
                    + " | serve DIR QUERIES K raw|terms");
            System.exit(2);
        }
    }
}
