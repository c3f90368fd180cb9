use super::*;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn matched(genes: &[&str], names: &[&str]) -> IdMatch {
    match_ids(&owned(genes), &owned(names), None, &Context::default()).unwrap()
}

/// The best transformation in words, and the gene of every name.
fn best(genes: &[&str], names: &[&str]) -> (String, Vec<Option<u32>>) {
    let found = matched(genes, names);
    (found.tried[found.best].steps.join(", then "), found.gene_of)
}

#[test]
fn names_as_they_are_need_no_transformation() {
    let found = matched(&["a", "b", "c"], &["b", "x", "a"]);
    assert_eq!(found.tried.len(), 1);
    assert_eq!((found.tried[0].genes, found.tried[0].names, found.tried[0].different), (2, 2, 3));
    assert_eq!(found.gene_of, [Some(1), None, Some(0)]);
}

#[test]
fn single_steps_are_found_on_either_side() {
    let all = vec![Some(0), Some(1)];
    let cases: [(&[&str], &[&str], &str); 10] = [
        (&["E1", "E2"], &["E1.3", "E2.1"], "dropping the version suffix (`.1`)"),
        (&["E1.4", "E2.1"], &["E1", "E2"], "dropping the version suffix (`.1`)"),
        (&["E1.4", "E2.1"], &["E1.5", "E2.7"], "dropping the version suffix (`.1`)"),
        (&["Ins2", "Gcg"], &["INS2", "GCG"], "ignoring case"),
        (&["HLA-A", "g-1"], &["HLA_A", "g_1"], "writing `-` for `_` (Seurat does)"),
        (&["hg38_INS", "hg38_GCG"], &["INS", "GCG"], "dropping the prefix `hg38_`"),
        (&["INS", "GCG"], &["hu_INS", "hu_GCG"], "dropping the prefix `hu_`"),
        (&["P1", "P2"], &["sp|P1|A_HUMAN x", "sp|P2|B_HUMAN y"], "taking field 2 between `|`"),
        (&["P1", "P2"], &["P1 len=3", "P2 len=4"], "taking the first word"),
        (
            &["INS", "GCG"],
            &["ENSP1 gene:ENSG1 gene_symbol:INS", "ENSP2 gene:ENSG2 gene_symbol:GCG d"],
            "taking the field `gene_symbol`",
        ),
    ];
    for (genes, names, steps) in cases {
        assert_eq!(best(genes, names), (steps.to_owned(), all.clone()), "{names:?}");
    }
}

#[test]
fn compositions_are_found() {
    let (steps, gene_of) =
        best(&["GRCh38-ENSG1", "GRCh38-ENSG2"], &["ENSP9.1 pep gene:ENSG1.7 x", "ENSP8.1 pep gene:ENSG2.1 y"]);
    assert_eq!(
        steps,
        "taking the field `gene`, then dropping the prefix `GRCh38-`, then dropping the version suffix (`.1`)"
    );
    assert_eq!(gene_of, [Some(0), Some(1)]);
    let (steps, _) = best(&["hla-a", "b"], &["x [gene=HLA_A] [y]", "z [gene=B]"]);
    assert_eq!(steps, "taking the field `gene`, then writing `-` for `_` (Seurat does), then ignoring case");
    let (steps, _) = best(&["INS|ENSG1", "GCG|ENSG2"], &["ENSG1.7", "ENSG2.1"]);
    assert_eq!(steps, "taking field 2 between `|` of the atlas's names, then dropping the version suffix (`.1`)");
}

#[test]
fn an_annotation_is_looked_up_with_and_without_version() {
    let pairs = [("T1", "G1"), ("T2.1", "G2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let annotation = Annotation::from_pairs(pairs);
    let names = owned(&["T1.5 x", "T2.1 y", "T3 z"]);
    let found = match_ids(&owned(&["g1", "g2"]), &names, Some(&annotation), &Context::default()).unwrap();
    let steps = &found.tried[found.best].steps;
    assert_eq!(steps.join(", "), "taking the first word, looking up the gene's id in the annotation, ignoring case");
    assert_eq!(found.gene_of, [Some(0), Some(1), None]);
}

#[test]
fn exact_names_stay_and_the_first_of_equal_genes_stands_for_all() {
    // Without versions A.1 and A.2 are one gene; with them they are two.
    let (_, gene_of) = best(&["A.1", "A.2", "B", "C"], &["A.2", "A.9", "B.1", "C.2"]);
    assert_eq!(gene_of, [Some(1), Some(0), Some(2), Some(3)]);
}

#[test]
fn the_simplest_of_nearly_equal_transformations_is_the_best() {
    let genes: Vec<String> = (0..200).map(|at| format!("g{at}")).collect();
    let mut names: Vec<String> = genes.iter().map(|gene| format!("{gene}.1")).collect();
    names[7] = "G7.1".to_owned();
    let found = match_ids(&genes, &names, None, &Context::default()).unwrap();
    assert_eq!((found.tried[0].genes, found.tried[0].steps.len()), (200, 2));
    assert_eq!(found.tried[found.best].steps, ["dropping the version suffix (`.1`)"]);
    assert_eq!(found.tried[found.best].example, Some((0, 0)));
}

#[test]
fn fields_begin_a_word_and_end_before_the_next() {
    assert_eq!(field("x xgene=1 gene=2;y", "gene"), Some("2"));
    assert_eq!(field("[gene=A B]", "gene"), Some("A"));
    assert_eq!(field("[db_xref=GeneID:12,HGNC:5]", "GeneID"), Some("12"));
    assert_eq!(field("gene= gene", "gene"), None);
    assert_eq!(field("parent=FBgn1,FBtr2;", "parent"), Some("FBgn1"));
}

#[test]
fn any_text_is_matched_without_a_panic() {
    let mut rng = crate::rng::Rng::keyed(3, 0, 0);
    let alphabet = ['a', 'B', '.', '1', '|', '_', '=', ':', ' ', 'é', '-', 'İ', '['];
    let word = |rng: &mut crate::rng::Rng| -> String {
        (0..rng.below(9)).map(|_| alphabet[rng.below(alphabet.len())]).chain(" gene=x".chars()).collect()
    };
    let genes: Vec<String> = (0..60).map(|_| word(&mut rng)).collect();
    let names: Vec<String> = (0..60).map(|_| word(&mut rng)).collect();
    let found = match_ids(&genes, &names, None, &Context::default()).unwrap();
    assert!(found.gene_of.iter().flatten().all(|&gene| (gene as usize) < genes.len()));
    assert!(match_ids(&[], &[], None, &Context::default()).unwrap().gene_of.is_empty());
}
