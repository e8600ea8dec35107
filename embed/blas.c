/* See blas.h. LAPACK's dsyevd is part of OpenBLAS, but Debian ships no header for it with that
 * library. */
#include "embed/blas.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <pthread.h>

/* Fortran passes the lengths of character arguments at the end. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
    double *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_len,
    size_t uplo_len);

/* The OpenMP build of OpenBLAS keeps the number of threads per calling thread, the pthread build
 * per process: setting it once in every thread is right for both. */
static void prepare(void)
{
    static _Thread_local bool prepared;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (prepared) return;
    pthread_mutex_lock(&lock);
    openblas_set_num_threads(1);
    pthread_mutex_unlock(&lock);
    prepared = true;
}

static int as_int(size_t size)
{
    assert(size <= INT_MAX);
    return (int)size;
}

void med_blas_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
    const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    prepare();
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
        transpose_b ? CblasTrans : CblasNoTrans, as_int(m), as_int(n), as_int(k), alpha, a,
        as_int(lda), b, as_int(ldb), beta, c, as_int(ldc));
}

void med_blas_dsyrk_lower(size_t m, size_t n, const double *a, double *c)
{
    prepare();
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, as_int(n), as_int(m), 1, a, as_int(n), 1, c,
        as_int(n));
}

size_t med_blas_eigen_doubles(size_t n)
{
    return 1 + 6 * n + 2 * n * n;
}

size_t med_blas_eigen_ints(size_t n)
{
    return 3 + 5 * n;
}

bool med_blas_eigen(size_t n, double *a, double *values, double *scratch, int *scratch_ints)
{
    prepare();
    int order = as_int(n), info = 0;
    int doubles = as_int(med_blas_eigen_doubles(n)), ints = as_int(med_blas_eigen_ints(n));
    /* A row-major lower triangle is a column-major upper one; eigenvectors come as columns, which
     * are our rows. */
    dsyevd_(
        "V", "U", &order, a, &order, values, scratch, &doubles, scratch_ints, &ints, &info, 1, 1);
    return info == 0;
}

const char *med_blas_name(void)
{
    return openblas_get_config();
}
