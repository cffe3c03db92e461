/* The weights of the right-angle convolution of hecf.he.similarity.ring, in one pass. */
#include "common.h"

typedef struct {
    const uint32_t *words; /* rows of 2 half words, `stride` apart */
    double *values;        /* rows of half complex numbers */
    double *out;           /* rows of 2 half integers */
    const double *twist;   /* half complex numbers */
    i64 stride, half;
} weigh_job;

INLINE void weigh_body(const void *j, i64 begin, i64 end, void *s, int wide)
{
    (void)wide; (void)s;
    const weigh_job *job = j;
    const double *t = job->twist;
    for (i64 n = begin; n < end; n++) {
        const uint32_t *low = job->words + n * job->stride, *high = low + job->half;
        double *to = job->values + 2 * n * job->half;
        for (i64 k = 0; k < job->half; k++) {
            const double x = (double)(int32_t)low[k], y = (double)(int32_t)high[k];
            to[2 * k] = x * t[2 * k] - y * t[2 * k + 1];
            to[2 * k + 1] = x * t[2 * k + 1] + y * t[2 * k];
        }
    }
}
BUILD(weigh)

INLINE void unweigh_body(const void *j, i64 begin, i64 end, void *s, int wide)
{
    (void)wide; (void)s;
    const weigh_job *job = j;
    const double *t = job->twist;
    for (i64 n = begin; n < end; n++) {
        const double *from = job->values + 2 * n * job->half;
        double *low = job->out + 2 * n * job->half, *high = low + job->half;
        for (i64 k = 0; k < job->half; k++) {
            const double x = from[2 * k], y = from[2 * k + 1];
            low[k] = nearest(x * t[2 * k] + y * t[2 * k + 1]);
            high[k] = nearest(y * t[2 * k] - x * t[2 * k + 1]);
        }
    }
}
BUILD(unweigh)

EXPORT void hecf_weigh(const weigh_job *job, i64 count)
{
    parallel(weigh_worker(), job, count, 1, 0);
}

EXPORT void hecf_unweigh(const weigh_job *job, i64 count)
{
    parallel(unweigh_worker(), job, count, 1, 0);
}
