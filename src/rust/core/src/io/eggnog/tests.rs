use super::*;
use crate::Error;

const V1: &str = "# emapper version: emapper-1.0.3\n\
    #query_name\tseed_eggNOG_ortholog\tevalue\tscore\tpredicted_gene_name\tOGs\tbestOG|evalue|score\n\
    g1\t9606.P1\t1e-9\t100\tA@B\t0A@opiNOG,KOG1@euNOG\tKOG1|1e-9|100\n\
    g2\t9606.P2\t1e-9\t100\t\tKOG1@euNOG,KOG2@euNOG\tNA\n\
    # Total time 3s\n";
const V2: &str = "## Tue\n\
    #query\tseed_ortholog\tevalue\tscore\teggNOG_OGs\tmax_annot_lvl\tDescription\n\
    t1.1\t9606.P1\t1e-9\t100\tCOG1@1|root,KOG1@2759|Eukaryota,3A@33208|Metazoa\t33208|Metazoa\tmailto a@b\n\
    t1.2\t9606.P1\t1e-9\t100\tKOG1@2759|Eukaryota,KOG1@2759|Eukaryota\t-\t-\n\
    t2\t9606.P2\t1e-9\t100\tCOG1@1|root\t-\t-\r\n\
    t3\t-\t-\t-\t-\t-\t-\n\n\
    ## 4 queries scanned\n";

fn read(text: &str, taxon: &str) -> Result<GroupTable> {
    parse_eggnog(text.as_bytes(), Path::new("table"), taxon, &Context::default())
}

fn memberships(table: &GroupTable) -> Vec<(&str, &str)> {
    table.members.iter().map(|&(g, o)| (table.genes[g as usize].as_str(), table.groups[o as usize].as_str())).collect()
}

#[test]
fn tokens_of_both_versions_at_a_level_by_number_or_name() {
    let table = read(V1, "euNOG").unwrap();
    assert_eq!(memberships(&table), [("g1", "KOG1"), ("g2", "KOG1"), ("g2", "KOG2")]);
    assert_eq!(table.levels, [("euNOG".to_owned(), 3), ("opiNOG".to_owned(), 1)]);
    for taxon in ["2759", "Eukaryota", "eukaryota"] {
        let table = read(V2, taxon).unwrap();
        assert_eq!(memberships(&table), [("t1.1", "KOG1"), ("t1.2", "KOG1")]);
        assert_eq!(table.genes, ["t1.1", "t1.2", "t2", "t3"]);
    }
    // 275 is no level because 2759 begins with it, nor 59 because it ends with it.
    assert!(read(V2, "275").unwrap().members.is_empty() && read(V2, "59").unwrap().members.is_empty());
    let plain =
        V2.replace("|root", "").replace("|Eukaryota", "").replace("|Metazoa", "").replace("eggNOG_OGs", "eggNOG OGs");
    assert_eq!(memberships(&read(&plain, "2759").unwrap()), [("t1.1", "KOG1"), ("t1.2", "KOG1")]);
}

/// Headers and columns as the versions write them, with rows of our own.
#[test]
fn the_layout_of_every_version_is_known() {
    let v1 = "# emapper version: emapper-1.0.3 emapper DB: 4.5.1\n#query_name\tseed_eggNOG_ortholog\tseed_ortholog_evalue\t\
        seed_ortholog_score\tpredicted_gene_name\tGO_terms\tKEGG_KOs\tBiGG_reactions\tAnnotation_tax_scope\tOGs\t\
        bestOG|evalue|score\tCOG cat\teggNOG annot\n\
        g1\t9606.P1\t0.0\t1848.0\tABC\tGO:1,GO:2\tK1\t\teuNOG[107]\t0A3R2@opiNOG,KOG1@euNOG\t0A3R2|0.0|99\tL\tany\n\
        g2\t9606.P2\t1e-9\t100.0\t\t\t\t\teuNOG[107]\t\t\t\t\n# 2 queries scanned\n";
    assert_eq!(memberships(&read(v1, "euNOG").unwrap()), [("g1", "KOG1")]);
    assert_eq!(read(v1, "euNOG").unwrap().genes, ["g1", "g2"]);
    let v2_0 = "# emapper version: emapper-2.0.1 emapper DB: 2.0\n#query_name\tseed_eggNOG_ortholog\tseed_ortholog_evalue\t\
        seed_ortholog_score\tbest_tax_level\tPreferred_name\tGOs\tEC\tKEGG_ko\tKEGG_Pathway\tKEGG_Module\tKEGG_Reaction\t\
        KEGG_rclass\tBRITE\tKEGG_TC\tCAZy\tBiGG_Reaction\n\
        g1\t9606.P1\t1e-9\t100.0\tMetazoa\tABC\t\t\t\t\t\t\t\t\t\t\t\tMetazoa\tKOG1@2759,COG1@1\tNA|NA|NA\tT\tany\n\
        g2\t9606.P2\t1e-9\t100.0\tMetazoa\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\n";
    assert_eq!(memberships(&read(v2_0, "2759").unwrap()), [("g1", "KOG1")]);
    assert_eq!(read(v2_0, "2759").unwrap().genes, ["g1", "g2"]);
    let v3 = "## emapper-3.0.0-beta6\n#query\tseed_ortholog\tevalue\tscore\teggNOG_OGs\ttax_ceiling\tfarthest_donor_lineage\n\
        8364.P1\t8364.P1\t0.0\t868.0\tP2RX7_C@2759|A-1,P2RX7_C@8353|Gr-13\tEukaryota\t1;131567;2759\n";
    assert_eq!(memberships(&read(v3, "2759").unwrap()), [("8364.P1", "P2RX7_C")]);
}

#[test]
fn without_a_header_the_first_column_with_groups_is_taken() {
    let rows = "g0\t-\t-\ng1\tx\tKOG1@2759|Eukaryota\tother@2759\ng2\tx\tKOG1@2759\t-\n";
    assert_eq!(memberships(&read(rows, "2759").unwrap()), [("g1", "KOG1"), ("g2", "KOG1")]);
}

#[test]
fn renamed_genes_are_joined() {
    let names = [("t1.1", "t1"), ("t1.2", "t1"), ("absent", "x")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let table = read(V2, "1").unwrap().renamed(&names.into_iter().collect());
    assert_eq!(table.genes, ["t1", "t2", "t3"]);
    assert_eq!(memberships(&table), [("t1", "COG1"), ("t2", "COG1")]);
}

#[test]
fn what_is_no_table_of_emapper_says_so() {
    let cases = [
        ("g1\n", 1, "one column"),
        ("g1\ta\tb\ng2\ta\tb\n", 3, "no column with groups"),
        ("#query\tx\teggNOG_OGs\ng1\tKOG1@1\n", 2, "2 columns, but the groups should be in column 3"),
        ("\tKOG1@1\n", 1, "a gene name that is empty"),
    ];
    for (text, at, message) in cases {
        match read(text, "1") {
            Err(Error::Parse { line, found, .. }) => assert!(line == at && found.contains(message), "{line}: {found}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(read("# nothing\n", "1").unwrap(), GroupTable::default());
}

#[test]
fn any_bytes_are_a_table_or_an_error() {
    let mut rng = crate::rng::Rng::keyed(7, 0, 0);
    for _ in 0..2000 {
        let mut bytes = V2.as_bytes().to_vec();
        for _ in 0..8 {
            let at = rng.below(bytes.len());
            bytes[at] = rng.below(256) as u8;
        }
        bytes.truncate(rng.below(bytes.len() + 1));
        if let Ok(table) = parse_eggnog(bytes.as_slice(), Path::new("x"), "2759", &Context::default()) {
            assert!(
                table
                    .members
                    .iter()
                    .all(|&(g, o)| (g as usize) < table.genes.len() && (o as usize) < table.groups.len())
            );
        }
    }
}
