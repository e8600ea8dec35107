/* The adapter over OpenBLAS: the only file that includes cblas.h is blas.c.
 *
 * Calls run on the calling thread alone: parallelism is med_parallel_for's over fixed blocks, so
 * that results do not depend on the number of threads. They do depend on the processor, for which
 * OpenBLAS picks its kernels. After the first call the process must not fork. Matrices are
 * row-major; sizes fit an int. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* c[m][n] = alpha * op(a) * op(b) + beta * c, where op(a) is m x k and op(b) k x n. */
void med_blas_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
    const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* c[n][n] += transpose(a) * a for a[m][n]; only the lower triangle of c is touched. */
void med_blas_dsyrk_lower(size_t m, size_t n, const double *a, double *c);

/* Eigenvectors of the symmetric matrix whose lower triangle a[n][n] holds: row i of a becomes the
 * vector of values[i], ascending. scratch_doubles() doubles and scratch_ints() ints are borrowed.
 * false = no convergence (NaN in the input). */
bool med_blas_eigen(size_t n, double *a, double *values, double *scratch, int *scratch_ints);
size_t med_blas_eigen_doubles(size_t n);
size_t med_blas_eigen_ints(size_t n);

/* "openblas <version> <kernel>", for `info` and bug reports. Process lifetime. */
const char *med_blas_name(void);
