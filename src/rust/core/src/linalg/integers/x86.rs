//! The sums in wide instructions.

use super::coarse::SHIFT;
use super::{Columns, Line, Pair, ROWS, Sums};
use bytemuck::must_cast;
use std::arch::x86_64::*;

pub(super) fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// The sums of all rows stay in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn vnni(rows: [&[Pair]; ROWS], panel: &[Columns], pairs: usize) -> Sums {
    let rows = rows.map(|row| &row[..panel.len()]);
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    for (at, &columns) in panel[..pairs].iter().enumerate() {
        let columns: [__m512i; 2] = must_cast(columns);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let pair = _mm512_set1_epi32(must_cast(row[at]));
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpwssd_epi32(*sum, pair, columns);
            }
        }
    }
    if pairs == panel.len() {
        return must_cast(sums);
    }
    for (sums, row) in sums.iter_mut().zip(rows) {
        let offset = _mm512_set1_epi32(must_cast(row[pairs]));
        sums.iter_mut().for_each(|sum| *sum = _mm512_sub_epi32(_mm512_srai_epi32(*sum, SHIFT), offset));
    }
    for (at, &columns) in panel.iter().enumerate().skip(pairs + 1) {
        let columns: [__m512i; 2] = must_cast(columns);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let quad = _mm512_set1_epi32(must_cast(row[at]));
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbusd_epi32(*sum, columns, quad);
            }
        }
    }
    must_cast(sums)
}

/// With half as many registers, half as wide, it takes a quarter of the panel's sums at a time.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(rows: [&[Pair]; ROWS], panel: &[Columns]) -> Sums {
    const FEW: usize = ROWS / 2;
    let mut out: [[[__m256i; 2]; 2]; ROWS] = [[[_mm256_setzero_si256(); 2]; 2]; ROWS];
    for (rows, out) in rows.chunks_exact(FEW).zip(out.chunks_exact_mut(FEW)) {
        for half in 0..2 {
            let mut sums = [[_mm256_setzero_si256(); 2]; FEW];
            let rows: [&[Pair]; FEW] = std::array::from_fn(|i| &rows[i][..panel.len()]);
            for (at, &columns) in panel.iter().enumerate() {
                let columns: [[__m256i; 2]; 2] = must_cast(columns);
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let pair = _mm256_set1_epi32(must_cast(row[at]));
                    for (sum, columns) in sums.iter_mut().zip(columns[half]) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, columns));
                    }
                }
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                out[half] = sums;
            }
        }
    }
    must_cast(out)
}

/// Several sums, as the next product comes before the last one has been added.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn vnni_product(x: &[Line], y: &[Line]) -> i32 {
    const SUMS: usize = 4;
    let mut sums = [_mm512_setzero_si512(); SUMS];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<SUMS>(), y.as_chunks::<SUMS>());
    for (x, y) in x.iter().zip(y) {
        for i in 0..SUMS {
            sums[i] = _mm512_dpwssd_epi32(sums[i], must_cast(x[i].0), must_cast(y[i].0));
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        sums[0] = _mm512_dpwssd_epi32(sums[0], must_cast(x.0), must_cast(y.0));
    }
    let sums = _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]));
    _mm512_reduce_add_epi32(sums)
}

#[target_feature(enable = "avx2")]
pub(super) fn avx2_product(x: &[Line], y: &[Line]) -> i32 {
    let mut sums = [_mm256_setzero_si256(); 2];
    for (x, y) in x.iter().zip(y) {
        let (x, y): ([__m256i; 2], [__m256i; 2]) = (must_cast(x.0), must_cast(y.0));
        for half in 0..2 {
            sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(x[half], y[half]));
        }
    }
    let sums: [i32; 8] = must_cast(_mm256_add_epi32(sums[0], sums[1]));
    sums.iter().sum()
}
