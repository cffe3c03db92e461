/* Negacyclic number-theoretic transform of polynomials modulo one prime. */
#include "common.h"

/* A polynomial is a matrix (rows, columns); both steps are radix-2 transforms of whole rows, so
 * every inner loop runs over contiguous values. Between them come a twist and a transposition. */
typedef struct {
    const double *in;
    double *out;
    const double *first, *twist, *second; /* twiddles by node of the tree; twist (rows, columns) */
    const i64 *row_of, *column_of;        /* position at the end of every leaf */
    i64 rows, columns;
    double p;
} ntt_job;

INLINE void butterflies(double *x, i64 rows, i64 width, const double *twiddles, double p)
{
    const double inverse = 1.0 / p;
    for (i64 nodes = 1, half = rows / 2; half; nodes *= 2, half /= 2)
        for (i64 node = 0; node < nodes; node++) {
            const double w = twiddles[nodes + node];
            double *u = x + node * 2 * half * width, *v = u + half * width;
            for (i64 i = 0; i < half * width; i++) {
                const double t = reduce(v[i] * w, p, inverse);
                v[i] = u[i] - t;
                u[i] += t;
            }
        }
}

INLINE void butterflies_back(double *x, i64 rows, i64 width, const double *twiddles, double p)
{
    const double inverse = 1.0 / p;
    int stage = 0;
    for (i64 nodes = rows / 2, half = 1; nodes; nodes /= 2, half *= 2, stage++)
        for (i64 node = 0; node < nodes; node++) {
            const double w = twiddles[nodes + node];
            double *u = x + node * 2 * half * width, *v = u + half * width;
            for (i64 i = 0; i < half * width; i++) {
                const double t = u[i] - v[i];
                u[i] += v[i];
                v[i] = reduce(t * w, p, inverse);
            }
            /* Sums double at every stage; before the fifth they are reduced. */
            for (i64 i = 0; stage == 3 && i < half * width; i++) u[i] = reduce(u[i], p, inverse);
        }
}

INLINE void transform(const void *j, i64 begin, i64 end, double *x, int back)
{
    const ntt_job *job = j;
    const i64 rows = job->rows, columns = job->columns, degree = rows * columns;
    const double p = job->p, inverse = 1.0 / p, half = (double)((i64)p / 2);
    double *y = x + degree;
    for (i64 n = begin; n < end; n++) {
        const double *in = job->in + n * degree;
        double *out = job->out + n * degree;
        if (!back) {
            memcpy(x, in, (size_t)degree * sizeof(double));
            butterflies(x, rows, columns, job->first, p);
            for (i64 r = 0; r < rows; r++)
                for (i64 c = 0; c < columns; c++)
                    y[c * rows + r] =
                        reduce(x[r * columns + c] * job->twist[r * columns + c], p, inverse);
            butterflies(y, columns, rows, job->second, p);
            for (i64 i = 0; i < degree; i++)
                y[i] = canonical(reduce(y[i], p, inverse), p, half);
            for (i64 r = 0; r < rows; r++)
                for (i64 c = 0; c < columns; c++)
                    out[job->row_of[r] * columns + job->column_of[c]] = y[c * rows + r];
        } else {
            for (i64 r = 0; r < rows; r++)
                for (i64 c = 0; c < columns; c++)
                    y[c * rows + r] = in[job->row_of[r] * columns + job->column_of[c]];
            butterflies_back(y, columns, rows, job->second, p);
            for (i64 r = 0; r < rows; r++)
                for (i64 c = 0; c < columns; c++) {
                    const double v = reduce(y[c * rows + r], p, inverse);
                    x[r * columns + c] = reduce(v * job->twist[r * columns + c], p, inverse);
                }
            butterflies_back(x, rows, columns, job->first, p);
            for (i64 i = 0; i < degree; i++)
                out[i] = canonical(reduce(x[i], p, inverse), p, half);
        }
    }
}

INLINE void ntt_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    (void)wide;
    transform(j, begin, end, scratch, 0);
}
BUILD(ntt)

INLINE void ntt_back_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    (void)wide;
    transform(j, begin, end, scratch, 1);
}
BUILD(ntt_back)

EXPORT int hecf_ntt(const ntt_job *job, i64 count, int back, i64 threads)
{
    return parallel(back ? ntt_back_worker() : ntt_worker(), job, count, threads,
                    2 * (size_t)(job->rows * job->columns) * sizeof(double));
}
