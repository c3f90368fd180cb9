use super::*;
use crate::Error;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::PathBuf;

/// A file of this test alone, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("samap-blast-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Temporary(path)
    }

    fn read(&self) -> Result<BlastTable> {
        read_blast(&self.0, &BlastOptions::default(), &Context::default())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn row(query: &str, target: &str, evalue: &str, score: &str) -> String {
    format!("{query}\t{target}\t90.0\t100\t5\t0\t1\t100\t1\t100\t{evalue}\t{score}\n")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn best_hit_of_each_pair_plain_and_gzipped() {
    let text = [
        "# BLASTP 2.12.0+\n".to_owned(),
        row("b", "x", "1e-10", "50"),
        row("b", "x", "1e-30", " 200.5"),
        row("b", "x", "1e-8", "60"),
        row("a", "é", "0.0", "1e2\textra column"),
        row("a", "a", "e-100", "70").replace('\n', "\r\n"),
        row("Z", "x", "1e-6", "30"),
        row("only rejected", "x", "1e-5", "500"),
        "\n".to_owned(),
        row("a", "w", "0", "0"),
    ]
    .concat();
    let two_members = [gzip(&text.as_bytes()[..100]), gzip(&text.as_bytes()[100..])].concat();
    for (name, content) in [("plain.txt", text.as_bytes()), ("zipped.txt", &gzip(text.as_bytes())), ("b", &two_members)]
    {
        let table = Temporary::new(name, content).read().unwrap();
        assert_eq!(table.queries, names(&["Z", "a", "b", "only rejected"]));
        assert_eq!(table.targets, names(&["a", "w", "x", "é"]));
        let hits: Vec<_> = table.hits.iter().map(|hit| (hit.query, hit.target, hit.score)).collect();
        assert_eq!(hits, [(0, 2, 30.0), (1, 0, 70.0), (1, 3, 100.0), (2, 2, 200.5)]);
        assert_eq!((table.rows, table.rejected, table.self_hits), (8, 2, 1));
    }
}

#[test]
fn a_file_without_rows_is_an_empty_table() {
    let header = "query\ttarget\tfident\talnlen\tmismatch\tgapopen\tqstart\tqend\ttstart\ttend\tevalue\tbits\n";
    for (name, content) in [("empty", &b""[..]), ("comment", b"# nothing\n\n"), ("header", header.as_bytes())] {
        assert_eq!(Temporary::new(name, content).read().unwrap(), BlastTable::default());
    }
}

#[test]
fn garbled_tables_say_where_and_what() {
    let good = row("a", "b", "0", "1");
    let cases = [
        ("short", b"a\tb\t90\t100\n".to_vec(), "4 columns"),
        ("spaces", b"a b 90 100 5 0 1 100 1 100 0 1\n".to_vec(), "1 columns"),
        ("evalue", row("a", "b", "?", "1").into_bytes(), "the e-value \"?\""),
        ("negative", row("a", "b", "-1", "1").into_bytes(), "the e-value"),
        ("score", row("a", "b", "0", "nan").into_bytes(), "the bit score"),
        ("name", row("", "b", "0", "1").into_bytes(), "a query name that is empty"),
        ("late header", row("a", "b", "evalue", "bits").into_bytes(), "the e-value"),
        ("binary", [b"a\t\xff\xfe".as_slice(), &good.as_bytes()[3..]].concat(), "not UTF-8"),
        ("endless", vec![b'x'; 3 << 20], "a line of more than"),
    ];
    for (name, bad, message) in cases {
        let content = [b"#\n", good.as_bytes(), &bad].concat();
        match Temporary::new(name, &content).read() {
            Err(Error::Parse { line, found, remedy, .. }) => {
                assert_eq!(line, 3, "{name}");
                assert!(found.contains(message) && remedy.ends_with("cut off."), "{name}: {found}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn truncated_files_are_noticed() {
    let text = row("a", "b", "0", "123.4").repeat(1000);
    let zipped = gzip(text.as_bytes());
    let cut = Temporary::new("cut.gz", &zipped[..zipped.len() / 2]);
    assert!(matches!(cut.read(), Err(Error::Parse { found, .. }) if found.contains("end early")));
    let cut = Temporary::new("cut in a row", &text.as_bytes()[..text.len() - 10]);
    assert!(matches!(cut.read(), Err(Error::Parse { line: 1000, .. })));
    // Cut inside of the last number: a complete row, but the user is told.
    let cut = Temporary::new("cut in a number", &text.as_bytes()[..text.len() - 3]);
    let ctx = Context::default();
    assert!(read_blast(&cut.0, &BlastOptions::default(), &ctx).is_ok());
    assert!(ctx.warnings()[0].contains("cut off"));
    let missing = read_blast(Path::new("/no/such/table"), &BlastOptions::default(), &ctx);
    assert!(matches!(missing, Err(Error::Io { .. })));
}

#[test]
fn a_cancelled_reader_stops() {
    let ctx = Context::default();
    ctx.cancel();
    let file = Temporary::new("cancelled", row("a", "b", "0", "1").as_bytes());
    assert!(matches!(read_blast(&file.0, &BlastOptions::default(), &ctx), Err(Error::Cancelled)));
}

fn table(queries: &[&str], targets: &[&str], hits: &[(u32, u32, f64)]) -> BlastTable {
    let hits = hits.iter().map(|&(query, target, score)| Hit { query, target, score }).collect();
    BlastTable { queries: names(queries), targets: names(targets), hits, ..BlastTable::default() }
}

#[test]
fn only_reciprocal_hits_are_edges() {
    let ab = table(&["a1", "a3"], &["b1", "b2"], &[(0, 0, 10.0), (0, 1, 20.0), (1, 1, 5.0)]);
    let ba = table(&["b0", "b1", "b2"], &["a1", "a2", "a3"], &[(0, 0, 1.0), (1, 0, 30.0), (1, 1, 9.0), (2, 2, 7.0)]);
    let pair = reciprocal_edges(&ab, &ba);
    assert_eq!(pair.genes_a, names(&["a1", "a2", "a3"]));
    assert_eq!(pair.genes_b, names(&["b0", "b1", "b2"]));
    assert_eq!(pair.edges, [(0, 1, 20.0), (2, 2, 6.0)]);
    assert_eq!(reciprocal_edges(&ab, &BlastTable::default()).edges, []);
}

#[test]
fn hits_within_a_species_are_counted_and_ignored() {
    // Both species were searched at once: a1 finds itself and its paralog, b1 a gene of its own.
    let ab = table(&["a1", "a2"], &["a1", "a2", "b1", "s"], &[(0, 0, 99.0), (0, 1, 50.0), (0, 2, 10.0), (1, 3, 8.0)]);
    let ba = table(&["b1", "s"], &["a1", "a2", "s"], &[(0, 0, 20.0), (0, 2, 70.0), (1, 1, 4.0)]);
    let pair = reciprocal_edges(&ab, &ba);
    assert_eq!((pair.genes_a, pair.genes_b), (names(&["a1", "a2"]), names(&["b1", "s"])));
    assert_eq!((pair.edges, pair.within), (vec![(0, 0, 15.0), (1, 1, 6.0)], 3));
    // A name that both species have is two genes, and its hit counts.
    let (ab, ba) = (table(&["s"], &["s"], &[(0, 0, 1.0)]), table(&["s"], &["s"], &[(0, 0, 3.0)]));
    assert_eq!(reciprocal_edges(&ab, &ba).edges, [(0, 0, 2.0)]);
}

#[test]
fn any_bytes_are_a_table_or_an_error() {
    let mut rng = crate::rng::Rng::keyed(13, 0, 0);
    let text = [row("a", "b", "1e-9", "50"), row("a", "c", "e-100", "60"), row("d", "b", "0", "7")].concat();
    for _ in 0..2000 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..4 {
            let at = rng.below(bytes.len());
            bytes[at] = rng.below(256) as u8;
        }
        if let Ok(table) = parse_blast(&*bytes, Path::new("x"), &BlastOptions::default(), &Context::default()) {
            let inside =
                |hit: &Hit| (hit.query as usize) < table.queries.len() && (hit.target as usize) < table.targets.len();
            assert!(table.hits.iter().all(inside) && table.hits.len() + table.rejected <= table.rows);
        }
    }
}
