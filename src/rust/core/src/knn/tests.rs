//! Tests of all searches against distances computed one by one.

use super::*;
use crate::rng::Rng;
use ndarray::{Array2, s};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Correlation, Metric::Euclidean];

/// n points around `clusters` random centres, each with its own spread.
fn clustered(n: usize, d: usize, clusters: usize, seed: u64) -> Array2<f32> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let centre = Rng::keyed(seed, (i % clusters) as u64, j as u64).normal();
        (centre + 0.5 * Rng::keyed(seed + 1, i as u64, j as u64).normal()) as f32
    })
}

fn distance(x: &[f64], y: &[f64], metric: Metric) -> f64 {
    let mean = |x: &[f64]| if metric == Metric::Correlation { x.iter().sum::<f64>() / x.len() as f64 } else { 0.0 };
    let (a, b) = (mean(x), mean(y));
    let dot = |x: &[f64], a: f64, y: &[f64], b: f64| x.iter().zip(y).map(|(x, y)| (x - a) * (y - b)).sum::<f64>();
    if metric == Metric::Euclidean {
        return x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    }
    let norms = (dot(x, a, x, a) * dot(y, b, y, b)).sqrt();
    if norms > 0.0 { 1.0 - dot(x, a, y, b) / norms } else { 1.0 }
}

/// Asserts that `found` holds the nearest: order by distance and index, and nothing nearer left out.
fn assert_nearest(found: &Neighbours, queries: &Array2<f32>, database: &Array2<f32>, metric: Metric) {
    let row = |x: &Array2<f32>, i: usize| x.row(i).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    assert_eq!(found.cells(), queries.nrows());
    for i in 0..queries.nrows() {
        let query = row(queries, i);
        let all: Vec<f64> = (0..database.nrows()).map(|j| distance(&query, &row(database, j), metric)).collect();
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        let (indices, distances) = found.of(i);
        let mut seen = indices.to_vec();
        seen.sort_unstable();
        assert!(seen.windows(2).all(|w| w[0] < w[1]), "row {i}: a neighbour is listed twice");
        for (rank, (&j, &found)) in indices.iter().zip(distances).enumerate() {
            assert!((found - all[j as usize]).abs() < 1e-12 * (1.0 + found), "row {i}, neighbour {j}: {found}");
            assert!((found - sorted[rank]).abs() < 1e-12 * (1.0 + found), "row {i}, rank {rank}: {found}");
        }
        for rank in 1..indices.len() {
            let (before, after) = ((distances[rank - 1], indices[rank - 1]), (distances[rank], indices[rank]));
            assert!(before < after, "row {i}: {before:?} before {after:?}");
        }
    }
}

fn exact() -> KnnOptions {
    KnnOptions { method: Method::Exact, ..KnnOptions::default() }
}

#[test]
fn exact_search_finds_the_nearest() {
    let ctx = Context::default();
    for metric in METRICS {
        for (n, m, d, k) in [(1, 1, 1, 1), (3, 5, 2, 5), (200, 2500, 17, 20), (50, 1025, 130, 1)] {
            let (queries, database) = (clustered(n, d, 7, 1), clustered(m, d, 7, 1));
            let found = search(queries.view(), database.view(), k, metric, &exact(), &ctx).unwrap();
            assert_nearest(&found, &queries, &database, metric);
        }
    }
}

#[test]
fn searching_each_other_and_oneself_finds_what_plain_searches_find() {
    let ctx = Context::default();
    let (left, right) = (clustered(900, 12, 5, 3), clustered(1300, 12, 5, 3));
    for metric in METRICS {
        let plain =
            |x: &Array2<f32>, y: &Array2<f32>, k| search(x.view(), y.view(), k, metric, &exact(), &ctx).unwrap();
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let both =
                || search_both(left.view(), right.view(), (20, 7), None, metric, &KnnOptions::default(), &ctx).unwrap();
            let (forward, back) = pool.install(both);
            assert!(forward == plain(&left, &right, 20) && back == plain(&right, &left, 7), "{metric:?}");
            let own = pool.install(|| search_self(right.view(), 9, metric, &exact(), &ctx).unwrap());
            assert!(own == plain(&right, &right, 9), "{metric:?}");
        }
    }
    let wrong = search_both(left.view(), right.view(), (20, 901), None, Metric::Cosine, &exact(), &ctx);
    assert!(matches!(wrong, Err(Error::Argument { .. })));
}

/// Neither the neighbours themselves nor any others change what is found.
#[test]
fn rows_that_are_likely_near_change_no_result() {
    let ctx = Context::default();
    let (left, right) = (clustered(500, 80, 5, 3), clustered(700, 80, 5, 4));
    let any = |of: usize, among: usize, k: usize| -> Vec<u32> {
        (0..of).flat_map(|i| (0..k).map(move |j| ((37 * i + 91 * j) % among) as u32)).collect()
    };
    for metric in METRICS {
        let both = |likely: Likely| search_both(left.view(), right.view(), (6, 4), likely, metric, &exact(), &ctx);
        let found = both(None).unwrap();
        assert_nearest(&found.0, &left, &right, metric);
        let (nearest, others) = ((&found.0.indices, &found.1.indices), (any(500, 700, 6), any(700, 500, 4)));
        assert!(both(Some((nearest.0, nearest.1))).unwrap() == found, "{metric:?}");
        assert!(both(Some((&others.0, &others.1))).unwrap() == found, "{metric:?}");
        assert!(matches!(both(Some((&nearest.0[6..], nearest.1))), Err(Error::Shape { .. })));
        for wrong in [500, nearest.1[1]] {
            let mut other = nearest.1.clone();
            other[0] = wrong;
            assert!(matches!(both(Some((nearest.0, &other))), Err(Error::Argument { .. })), "{wrong}");
        }
    }
}

#[test]
fn exact_search_survives_ties_far_offsets_and_outliers() {
    let ctx = Context::default();
    let mut database = clustered(1500, 10, 3, 2);
    for i in 0..750 {
        let twin = database.row(i).to_owned();
        database.row_mut(1499 - i).assign(&twin);
    }
    database.slice_mut(s![100..900, ..]).fill(0.0);
    database.slice_mut(s![.., 3]).mapv_inplace(|x| x + 3000.0);
    database.row_mut(7).fill(1e20);
    let queries = database.slice(s![..40, ..]).to_owned();
    for metric in METRICS {
        let found = search(queries.view(), database.view(), 30, metric, &exact(), &ctx).unwrap();
        assert_nearest(&found, &queries, &database, metric);
    }
}

/// Copies that differ by less than a unit of the rounded rows, far from the others and in no order.
#[test]
fn exact_search_tells_rows_apart_that_are_alike_once_rounded() {
    let ctx = Context::default();
    let mut database = clustered(900, 40, 3, 31);
    for i in 0..300 {
        let mut twin = database.row(600).to_owned();
        twin[i % 40] += 2e-6 * Rng::keyed(32, i as u64, 0).normal() as f32;
        database.row_mut(i).assign(&twin);
    }
    let queries = database.slice(s![250..650;8, ..]).to_owned();
    for metric in METRICS {
        let found = search(queries.view(), database.view(), 25, metric, &exact(), &ctx).unwrap();
        assert_nearest(&found, &queries, &database, metric);
        let (forward, back) =
            search_both(database.view(), queries.view(), (5, 25), None, metric, &exact(), &ctx).unwrap();
        assert_nearest(&forward, &database, &queries, metric);
        assert_nearest(&back, &queries, &database, metric);
    }
}

#[test]
fn exact_search_of_many_coordinates_and_of_points_far_from_each_other() {
    let ctx = Context::default();
    let (queries, mut database) = (clustered(30, 3001, 4, 33), clustered(500, 3001, 4, 33));
    for metric in METRICS {
        let found = search(queries.view(), database.view(), 10, metric, &exact(), &ctx).unwrap();
        assert_nearest(&found, &queries, &database, metric);
    }
    // All but a few lie together, as seen from the centre between them.
    database.slice_mut(s![..3, ..]).mapv_inplace(|x| x + 1e4);
    let queries = database.slice(s![..20, ..]).to_owned();
    for metric in METRICS {
        let found = search(queries.view(), database.view(), 10, metric, &exact(), &ctx).unwrap();
        assert_nearest(&found, &queries, &database, metric);
    }
}

#[test]
fn a_cell_is_its_own_first_neighbour() {
    let mut points = clustered(300, 5, 1, 3);
    points.slice_mut(s![100..200, ..]).fill(0.0);
    let twin = points.row(0).to_owned();
    (200..260).for_each(|i| points.row_mut(i).assign(&twin));
    for metric in METRICS {
        let found = search_self(points.view(), 8, metric, &exact(), &Context::default()).unwrap();
        let plain = search(points.view(), points.view(), 8, metric, &exact(), &Context::default()).unwrap();
        for i in 0..300 {
            let (indices, distances) = found.of(i);
            assert_eq!((indices[0] as usize, distances[0]), (i, 0.0));
            let others: Vec<u32> = plain.of(i).0.iter().copied().filter(|&j| j as usize != i).take(7).collect();
            assert_eq!(indices[1..], others);
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let points = clustered(1000, 20, 5, 4);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search_self(points.view(), 15, Metric::Cosine, &exact(), &Context::default()).unwrap())
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(8));
}

#[test]
fn columns_need_not_be_contiguous() {
    let points = clustered(100, 8, 3, 5);
    let fortran = points.t().as_standard_layout().into_owned();
    let run = |x: ArrayView2<f32>| search(x, x, 5, Metric::Correlation, &exact(), &Context::default()).unwrap();
    assert_eq!(run(points.view()), run(fortran.t()));
}

#[test]
fn unusable_arguments_are_named() {
    let ctx = Context::default();
    let run = |queries: &Array2<f32>, database: &Array2<f32>, k| {
        search(queries.view(), database.view(), k, Metric::Cosine, &exact(), &ctx)
    };
    let points = clustered(4, 3, 1, 6);
    assert!(matches!(run(&points, &points, 0), Err(Error::Argument { .. })));
    let message = run(&points, &points, 5).unwrap_err().to_string();
    assert!(message.contains("5 neighbours") && message.contains("4 cells"), "{message}");
    assert!(matches!(run(&points, &clustered(4, 2, 1, 6), 1), Err(Error::Shape { .. })));
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut broken = points.clone();
        broken[[2, 1]] = wrong;
        assert!(run(&points, &broken, 1).unwrap_err().to_string().contains("row 3"));
        assert!(run(&broken, &points, 1).is_err());
    }
}

#[test]
fn no_queries_and_no_coordinates() {
    let ctx = Context::default();
    let points = clustered(6, 3, 1, 7);
    let none = search(Array2::zeros((0, 3)).view(), points.view(), 2, Metric::Cosine, &exact(), &ctx).unwrap();
    assert_eq!(none.cells(), 0);
    let flat = Array2::<f32>::zeros((6, 0));
    for metric in METRICS {
        let found = search(flat.view(), flat.view(), 2, metric, &exact(), &ctx).unwrap();
        assert_eq!(found.indices, [0u32, 1].repeat(6));
    }
}

fn recall(found: &Neighbours, truth: &Neighbours) -> f64 {
    let shared = |i: usize| found.of(i).0.iter().filter(|j| truth.of(i).0.contains(j)).count();
    (0..truth.cells()).map(shared).sum::<usize>() as f64 / truth.indices.len() as f64
}

#[test]
fn approximate_searches_find_almost_all() {
    let ctx = Context::default();
    let points = clustered(6000, 30, 20, 8);
    for metric in METRICS {
        let truth = search_self(points.view(), 20, metric, &exact(), &ctx).unwrap();
        for method in [Method::InvertedFile, Method::Hnsw] {
            let options = KnnOptions { method, hnsw_m: 16, hnsw_ef_construction: 60, hnsw_ef: 60, ..exact() };
            let found = search_self(points.view(), 20, metric, &options, &ctx).unwrap();
            let recall = recall(&found, &truth);
            assert!(recall >= 0.99, "{method:?}, {metric:?}: recall {recall}");
        }
    }
}

/// n points that differ in 20 directions of 300 coordinates, and by noise.
fn of_few_directions(n: usize, seed: u64) -> Array2<f32> {
    let normal = |stream: u64, i: usize, j: usize| Rng::keyed(seed + stream, i as u64, j as u64).normal();
    let z = Array2::from_shape_fn((n, 20), |(i, j)| normal(0, i, j));
    let directions = Array2::from_shape_fn((20, 300), |(i, j)| Rng::keyed(99, i as u64, j as u64).normal());
    let noise = Array2::from_shape_fn((n, 300), |(i, j)| 0.3 * normal(1, i, j));
    (z.dot(&directions) + noise).mapv(|x| x as f32)
}

#[test]
fn of_many_coordinates_the_principal_ones_are_enough() {
    let ctx = Context::default();
    let (queries, database) = (of_few_directions(300, 20), of_few_directions(3000, 30));
    for metric in METRICS {
        let truth = search(queries.view(), database.view(), 20, metric, &exact(), &ctx).unwrap();
        // All lists are searched: what is missing was lost by scoring fewer coordinates.
        let options = KnnOptions { method: Method::InvertedFile, probes: usize::MAX, ..KnnOptions::default() };
        let found = search(queries.view(), database.view(), 20, metric, &options, &ctx).unwrap();
        let recall = recall(&found, &truth);
        assert!(recall >= 0.995, "{metric:?}: recall {recall}");
        // What was found is measured in all coordinates.
        for i in 0..queries.nrows() {
            for (&j, &distance) in std::iter::zip(found.of(i).0, found.of(i).1) {
                let at = truth.of(i).0.iter().position(|&true_one| true_one == j);
                assert!(at.is_none_or(|at| truth.of(i).1[at] == distance), "{metric:?}: row {i}, neighbour {j}");
            }
        }
    }
}

#[test]
fn principal_directions_are_orthonormal_and_hold_what_is_long() {
    let ctx = Context::default();
    let (queries, database) = (of_few_directions(200, 20), of_few_directions(500, 30));
    let points = |x| Points::new("points", x, Metric::Cosine).unwrap();
    let (queries, database) = (points(queries.view()), points(database.view()));
    let found = principal::directions(&candidates::Scaled::frame(&database, &queries), &queries, 20, 0, &ctx).unwrap();
    let found = Array2::from_shape_vec((20, 300), found).unwrap();
    let off = (found.dot(&found.t()) - Array2::<f32>::eye(20)).mapv(f32::abs);
    assert!(off.iter().all(|&x| x < 1e-5));
    for i in 0..queries.count() {
        let row = ndarray::aview1(queries.row(i));
        let share = found.dot(&row).mapv(|x| x * x).sum() / row.mapv(|x| x * x).sum();
        assert!(share > 0.98, "row {i}: {share}");
    }
}

/// Queries that share only little with the database. In one kind of list the rows agree in the rest, too: its centroid is long,
/// and far from every query. In the other they do not.
#[test]
fn lists_are_ranked_by_the_similarity_they_promise() {
    let ctx = Context::default();
    let (kinds, shared, rest, each) = (16, 8, 40, 16);
    let normal = |seed: u64, i: usize, j: usize| Rng::keyed(seed, i as u64, j as u64).normal() as f32;
    let unit = |seed: u64, i: usize, d: usize| {
        let x: Vec<f32> = (0..d).map(|j| normal(seed, i, j)).collect();
        let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        x.into_iter().map(move |x| x / norm)
    };
    let database = Array2::from_shape_vec(
        (kinds * each, shared + rest),
        (0..kinds * each)
            .flat_map(|i| {
                let kind = i % kinds;
                let own = if kind % 2 == 0 { unit(2, kind, rest) } else { unit(3, i, rest) };
                unit(1, kind, shared).map(|x| 0.4 * x).chain(own.map(|x| 0.9 * x)).collect::<Vec<_>>()
            })
            .collect(),
    )
    .unwrap();
    let queries = Array2::from_shape_fn((kinds, shared + rest), |(kind, j)| {
        if j < shared { unit(1, kind, shared).nth(j).unwrap() } else { 0.0 }
    });
    let truth = search(queries.view(), database.view(), each, Metric::Cosine, &exact(), &ctx).unwrap();
    let options = KnnOptions { method: Method::InvertedFile, probes: 3, ..KnnOptions::default() };
    let found = search(queries.view(), database.view(), each, Metric::Cosine, &options, &ctx).unwrap();
    let of = |x: &Neighbours, kind: usize| x.of(kind).0.iter().filter(|&&j| truth.of(kind).0.contains(&j)).count();
    let kept: usize = (0..kinds).step_by(2).map(|kind| of(&found, kind)).sum();
    assert!(kept * 10 >= kinds / 2 * each * 9, "{kept} of {}", kinds / 2 * each);
}

#[test]
fn a_set_that_searches_itself_goes_through_a_quarter_of_the_lists() {
    let ctx = Context::default();
    let points = clustered(3000, 10, 30, 15);
    let with = |probes| KnnOptions { method: Method::InvertedFile, probes, ..KnnOptions::default() };
    let find = |database: &Array2<f32>, probes| {
        search(points.view(), database.view(), 10, Metric::Cosine, &with(probes), &ctx).unwrap()
    };
    let copy = points.clone();
    assert_eq!(find(&points, 8), find(&copy, 2));
    assert_ne!(find(&points, 8), find(&copy, 8));
}

#[test]
fn all_lists_probed_is_exact() {
    let ctx = Context::default();
    let points = clustered(900, 6, 4, 9);
    for metric in METRICS {
        let truth = search(points.view(), points.view(), 10, metric, &exact(), &ctx).unwrap();
        let options = KnnOptions { method: Method::InvertedFile, probes: usize::MAX, ..KnnOptions::default() };
        assert_eq!(search(points.view(), points.view(), 10, metric, &options, &ctx).unwrap(), truth);
    }
}

#[test]
fn approximate_searches_do_not_depend_on_threads() {
    let points = clustered(2000, 12, 6, 10);
    for method in [Method::InvertedFile, Method::Hnsw] {
        let options = KnnOptions { method, hnsw_m: 8, hnsw_ef_construction: 30, hnsw_ef: 30, ..exact() };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| search_self(points.view(), 15, Metric::Cosine, &options, &Context::default()).unwrap())
        };
        assert_eq!(with(1), with(2), "{method:?}");
        assert_eq!(with(1), with(8), "{method:?}");
    }
}

#[test]
fn approximate_searches_fill_every_row() {
    let ctx = Context::default();
    let mut points = clustered(400, 4, 2, 11);
    points.slice_mut(s![..300, ..]).fill(0.0);
    for method in [Method::InvertedFile, Method::Hnsw] {
        for metric in METRICS {
            let options = KnnOptions { method, probes: 1, hnsw_m: 2, hnsw_ef_construction: 2, hnsw_ef: 1, ..exact() };
            for k in [1, 50, 400] {
                let found = search_self(points.view(), k, metric, &options, &ctx).unwrap();
                for i in 0..400 {
                    let mut row = found.of(i).0.to_vec();
                    row.sort_unstable();
                    row.dedup();
                    assert_eq!(row.len(), k, "{method:?}, {metric:?}, row {i}");
                }
            }
        }
        let options = KnnOptions { method, ..exact() };
        let one = points.slice(s![300..301, ..]);
        assert_eq!(search(one, one, 1, Metric::Cosine, &options, &ctx).unwrap().indices, [0]);
    }
}

#[test]
fn unusable_options_are_named() {
    let points = clustered(10, 2, 1, 12);
    let message = |options: KnnOptions| {
        search(points.view(), points.view(), 2, Metric::Cosine, &options, &Context::default()).unwrap_err().to_string()
    };
    let hnsw = || KnnOptions { method: Method::Hnsw, ..KnnOptions::default() };
    assert!(message(KnnOptions { hnsw_m: 257, ..hnsw() }).contains("`hnsw_m`: it is 257"));
    assert!(message(KnnOptions { hnsw_m: 1, ..hnsw() }).contains("hnsw_m"));
    assert!(message(KnnOptions { hnsw_ef_construction: 0, ..hnsw() }).contains("hnsw_ef_construction"));
    let none = KnnOptions { method: Method::InvertedFile, probes: 0, ..KnnOptions::default() };
    assert!(message(none).contains("`probes`"));
}

#[test]
fn the_automatic_choice_is_recorded() {
    let points = clustered(100, 3, 2, 13);
    let ctx = Context::default();
    for (exact_limit, chosen) in [(100, "exact"), (99, "inverted file")] {
        let options = KnnOptions { exact_limit, ..KnnOptions::default() };
        search_self(points.view(), 5, Metric::Cosine, &options, &ctx).unwrap();
        assert_eq!(ctx.choices().last().unwrap().chosen, chosen);
    }
}

#[test]
fn cancelling_stops_every_search() {
    let points = clustered(50, 3, 2, 14);
    for method in [Method::Exact, Method::InvertedFile, Method::Hnsw] {
        let ctx = Context::default();
        ctx.cancel();
        let options = KnnOptions { method, ..KnnOptions::default() };
        let stopped = search_self(points.view(), 5, Metric::Cosine, &options, &ctx);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
