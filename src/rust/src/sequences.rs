//! Sequences and the programs that search them.

use crate::convert::strings;
use crate::error::outcome;
use crate::job::{Job, Pack};
use extendr_api::prelude::*;
use samap_core::io::fasta::{Record, name_hits, number_sequences, read_fasta, write_longest};
use samap_core::io::process::run_program;
use std::path::PathBuf;

/// Reads a FASTA file: `list(header, id, length, nucleotide)`, an entry per sequence.
#[extendr]
fn fasta_start(path: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        Job::start(threads, memory, vec![], move |ctx| {
            let records = ctx.phase("sequences", 1, || read_fasta(&PathBuf::from(path), ctx))?;
            Ok(Box::new(move || Ok(records_to_r(&records))) as Pack)
        })
    })
}

fn records_to_r(records: &[Record]) -> Robj {
    list!(
        header = records.iter().map(|record| record.header.as_str()).collect::<Strings>(),
        id = records.iter().map(Record::id).collect::<Strings>(),
        length = records.iter().map(|record| record.length as f64).collect::<Vec<f64>>(),
        nucleotide = records.iter().map(Record::is_nucleotide).collect::<Vec<bool>>()
    )
    .into()
}

/// Writes the sequences of a FASTA file with numbers as ids.
#[extendr]
fn number_sequences_start(path: String, to: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        Job::start(threads, memory, vec![], move |ctx| {
            ctx.phase("sequences", 1, || number_sequences(&PathBuf::from(path), &PathBuf::from(to), ctx))?;
            Ok(Box::new(|| Ok(NULL.into())) as Pack)
        })
    })
}

/// Writes the longest sequence of every gene; genes: the gene of each sequence, NA for none. Returns the number of genes.
#[extendr]
fn write_longest_start(path: String, to: String, genes: Strings, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let genes: Vec<Option<String>> = genes.iter().map(|gene| (!gene.is_na()).then(|| gene.to_string())).collect();
        Job::start(threads, memory, vec![], move |ctx| {
            let genes: Vec<Option<&str>> = genes.iter().map(Option::as_deref).collect();
            let work = || write_longest(&PathBuf::from(path), &PathBuf::from(to), &genes, ctx);
            let written = ctx.phase("sequences", 1, work)?;
            Ok(Box::new(move || Ok((written as f64).into())) as Pack)
        })
    })
}

/// Writes a table of hits between numbered sequences with their ids. Returns the number of hits.
#[extendr]
fn name_hits_start(table: String, to: String, queries: String, targets: String, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        Job::start(threads, memory, vec![], move |ctx| {
            let rows = ctx.phase("hits", 1, || {
                let queries = read_fasta(&PathBuf::from(queries), ctx)?;
                let targets = read_fasta(&PathBuf::from(targets), ctx)?;
                name_hits(&PathBuf::from(table), &PathBuf::from(to), &queries, &targets, ctx)
            })?;
            Ok(Box::new(move || Ok((rows as f64).into())) as Pack)
        })
    })
}

/// Runs a program in a folder; what it prints goes to the file `log`.
#[extendr]
fn program_start(
    program: String,
    arguments: Robj,
    dir: String,
    log: String,
    phase: String,
    threads: i32,
    memory: f64,
) -> Robj {
    outcome(|| {
        let arguments = strings("arguments", &arguments)?;
        Job::start(threads, memory, vec![], move |ctx| {
            let (dir, log) = (PathBuf::from(dir), PathBuf::from(log));
            ctx.phase(&phase, 1, || run_program(&program, &arguments, &dir, &log, ctx))?;
            Ok(Box::new(|| Ok(NULL.into())) as Pack)
        })
    })
}

extendr_module! {
    mod sequences;
    fn fasta_start;
    fn number_sequences_start;
    fn write_longest_start;
    fn name_hits_start;
    fn program_start;
}
