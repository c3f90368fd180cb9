use super::*;
use std::path::PathBuf;

/// A file of this test alone, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("samap fasta {} {name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Temporary(path)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const PROTEINS: &str = ">sp|P1|A x y\nMKV-\nlq*W\n\n>P2\r\nACGT\r\n>empty\n>P4 é\nMKVLQ*\n";

fn read(text: &[u8]) -> Result<Vec<Record>> {
    parse_fasta(text, Path::new("x"), &Context::default())
}

#[test]
fn headers_lengths_and_molecules() {
    let records = read(PROTEINS.as_bytes()).unwrap();
    let ids: Vec<&str> = records.iter().map(Record::id).collect();
    assert_eq!(ids, ["sp|P1|A", "P2", "empty", "P4"]);
    assert_eq!(records[0].header, "sp|P1|A x y");
    assert_eq!(records.iter().map(|record| record.length).collect::<Vec<_>>(), [6, 4, 0, 5]);
    assert_eq!(records.iter().map(Record::is_nucleotide).collect::<Vec<_>>(), [false, true, false, false]);
    assert!(read(b"").unwrap().is_empty());
}

#[test]
fn what_is_no_fasta_says_where() {
    for (text, at, message) in [
        (&b"MKV\n"[..], 1, "no `>` before \"MKV\""),
        (b">a\nMKV\n>\nMKV\n", 3, "an id that is empty"),
        (b">a\nMK1V\n", 2, "the character '1'"),
        (b">\xff\xfe\n", 1, "not UTF-8"),
    ] {
        match read(text) {
            Err(Error::Parse { line, found, .. }) => assert!(line == at && found.contains(message), "{line}: {found}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn numbers_go_to_the_engines_and_ids_come_back() {
    let ctx = Context::default();
    let (fasta, numbered) = (Temporary::new("in", PROTEINS), Temporary::new("numbered", ""));
    number_sequences(&fasta.0, &numbered.0, &ctx).unwrap();
    assert_eq!(numbered.text(), ">0\nMKV\nLQXW\n>1\nACGT\n>3\nMKVLQX\n");
    let records = read_fasta(&fasta.0, &ctx).unwrap();
    let rest = "90\t5\t0\t0\t1\t5\t1\t5\t1e-9\t50";
    let (table, named) =
        (Temporary::new("hits", &format!("0\t3\t{rest}\n1\t0\t{rest}\n")), Temporary::new("named", ""));
    assert_eq!(name_hits(&table.0, &named.0, &records, &records, &ctx).unwrap(), 2);
    assert_eq!(named.text(), format!("sp|P1|A\tP4\t{rest}\nP2\tsp|P1|A\t{rest}\n"));
    for bad in ["0\t9\t1\n".to_owned(), format!("0\t9\t{rest}\n"), format!("a\t1\t{rest}\n"), "\n".to_owned()] {
        let table = Temporary::new("bad hits", &bad);
        assert!(matches!(name_hits(&table.0, &named.0, &records, &records, &ctx), Err(Error::Parse { .. })), "{bad}");
    }
}

#[test]
fn the_longest_sequence_of_a_gene_is_written_under_its_name() {
    let ctx = Context::default();
    let (fasta, longest) = (Temporary::new("isoforms", PROTEINS), Temporary::new("longest", ""));
    let genes = [Some("G"), Some("G"), None, Some("H")];
    assert_eq!(write_longest(&fasta.0, &longest.0, &genes, &ctx).unwrap(), 2);
    assert_eq!(longest.text(), ">G\nMKV-\nlq*W\n>H\nMKVLQ*\n");
    assert!(matches!(write_longest(&fasta.0, &longest.0, &genes[1..], &ctx), Err(Error::Shape { .. })));
}

#[test]
fn any_bytes_are_sequences_or_an_error() {
    let mut rng = crate::rng::Rng::keyed(11, 0, 0);
    for _ in 0..2000 {
        let mut bytes = PROTEINS.as_bytes().to_vec();
        for _ in 0..4 {
            let at = rng.below(bytes.len());
            bytes[at] = rng.below(256) as u8;
        }
        if let Ok(records) = read(&bytes) {
            assert!(records.iter().all(|record| record.bases <= record.length && !record.id().is_empty()));
        }
    }
}
