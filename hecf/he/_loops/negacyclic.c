/* Negacyclic products of words by one small polynomial, for hecf.he.similarity.ring.
 *
 * Eight polynomials at once, one to a lane, so that no step of the transform shuffles. Decimation
 * in frequency there and in time back, by fours: the spectrum stays in the order in which it comes
 * out, and the factor's is given in that order.
 */
#include "common.h"

#define BLOCK 8 /* coefficients of all lanes that are brought in or out together */

typedef struct {
    const uint32_t *words;  /* lane l, coefficient k at l * words_lane + k * words_step */
    const uint32_t *addend; /* in the same way, `count` coefficients */
    void *out;              /* in the same way: words, or centred float64 if `exact` */
    const double *factor;   /* spectrum divided by half, half complex numbers */
    const double *twist;    /* half complex numbers */
    const double *roots;    /* exp(-2 pi i k / half), half complex numbers */
    i64 words_lane, words_step, addend_lane, addend_step, out_lane, out_step;
    i64 half, count, lanes, exact;
    double p;
} negacyclic_job;

typedef struct {
    v8 re, im;
} pair;

INLINE pair times(pair a, double re, double im)
{
    return (pair){a.re * re - a.im * im, a.re * im + a.im * re};
}

INLINE pair plus(pair a, pair b) { return (pair){a.re + b.re, a.im + b.im}; }
INLINE pair minus(pair a, pair b) { return (pair){a.re - b.re, a.im - b.im}; }

/* Words of `live` lanes at up to BLOCK coefficients, as float64. */
INLINE void bring(v8 *to, const uint32_t *from, i64 lane, i64 step, i64 live, i64 length)
{
    int32_t near[BLOCK][LANES] __attribute__((aligned(64))) = {{0}};
    if (lane == 1 && live == LANES)
        for (i64 k = 0; k < length; k++)
            *(s8 *)near[k] = *(const s8_anywhere *)(from + k * step);
    else
        for (i64 l = 0; l < live; l++)
            for (i64 k = 0; k < length; k++) near[k][l] = (int32_t)from[l * lane + k * step];
    for (i64 k = 0; k < BLOCK; k++) to[k] = __builtin_convertvector(*(s8 *)near[k], v8);
}

/* Round products, add what belongs to them, reduce, and write up to BLOCK coefficients. */
INLINE void send(const negacyclic_job *job, v8 *products, i64 first, i64 lane0, i64 live)
{
    const i64 left = job->count - first, length = left < BLOCK ? left : BLOCK;
    if (length <= 0) return;
    const double p = job->p, inverse = 1.0 / p, half = (double)((i64)p / 2);
    v8 addend[BLOCK];
    bring(addend, job->addend + lane0 * job->addend_lane + first * job->addend_step,
          job->addend_lane, job->addend_step, live, length);
    double results[BLOCK][LANES] __attribute__((aligned(64)));
    for (i64 k = 0; k < BLOCK; k++) {
        const double magic = 6755399441055744.0;
        const v8 x = reduced((products[k] + magic) - magic + addend[k], p, inverse);
        *(v8 *)results[k] = x;
        for (int l = 0; l < LANES; l++) results[k][l] = canonical(results[k][l], p, half);
    }
    const i64 lane = job->out_lane, step = job->out_step, at = lane0 * lane + first * step;
    if (job->exact) {
        double *to = (double *)job->out + at;
        for (i64 k = 0; k < length; k++)
            for (i64 l = 0; l < live; l++) to[l * lane + k * step] = results[k][l];
    } else {
        uint32_t *to = (uint32_t *)job->out + at;
        int32_t near[BLOCK][LANES] __attribute__((aligned(64)));
        for (i64 k = 0; k < BLOCK; k++) *(s8 *)near[k] = words(*(v8 *)results[k], (int32_t)p);
        for (i64 l = 0; l < live; l++)
            for (i64 k = 0; k < length; k++) to[l * lane + k * step] = (uint32_t)near[k][l];
    }
}

INLINE void forward(pair *z, i64 half, const double *roots)
{
    for (i64 size = half; size > 1; size /= 4) {
        const i64 quarter = size / 4, apart = half / size;
        if (size == 2) {
            for (i64 n = 0; n < half; n += 2) {
                const pair a = z[n], b = z[n + 1];
                z[n] = plus(a, b);
                z[n + 1] = minus(a, b);
            }
            return;
        }
        for (pair *block = z; block < z + half; block += size)
            for (i64 k = 0; k < quarter; k++) {
                const double *w1 = roots + 2 * k * apart, *w2 = roots + 4 * k * apart,
                             *w3 = roots + 6 * k * apart;
                pair *x = block + k;
                const pair a = plus(x[0], x[2 * quarter]), b = minus(x[0], x[2 * quarter]);
                const pair c = plus(x[quarter], x[3 * quarter]);
                const pair d = minus(x[quarter], x[3 * quarter]);
                const pair turned = {d.im, -d.re};
                x[0] = plus(a, c);
                x[quarter] = times(plus(b, turned), w1[0], w1[1]);
                x[2 * quarter] = times(minus(a, c), w2[0], w2[1]);
                x[3 * quarter] = times(minus(b, turned), w3[0], w3[1]);
            }
    }
}

INLINE void backward(pair *z, i64 half, const double *roots)
{
    i64 size = 4;
    if (__builtin_ctzll((unsigned long long)half) % 2) {
        for (i64 n = 0; n < half; n += 2) {
            const pair a = z[n], b = z[n + 1];
            z[n] = plus(a, b);
            z[n + 1] = minus(a, b);
        }
        size = 8;
    }
    for (; size <= half; size *= 4) {
        const i64 quarter = size / 4, apart = half / size;
        for (pair *block = z; block < z + half; block += size)
            for (i64 k = 0; k < quarter; k++) {
                const double *w1 = roots + 2 * k * apart, *w2 = roots + 4 * k * apart,
                             *w3 = roots + 6 * k * apart;
                pair *x = block + k;
                const pair x1 = times(x[quarter], w1[0], -w1[1]);
                const pair x2 = times(x[2 * quarter], w2[0], -w2[1]);
                const pair x3 = times(x[3 * quarter], w3[0], -w3[1]);
                const pair a = plus(x[0], x2), b = minus(x[0], x2), c = plus(x1, x3);
                const pair d = minus(x1, x3), turned = {-d.im, d.re};
                x[0] = plus(a, c);
                x[quarter] = plus(b, turned);
                x[2 * quarter] = minus(a, c);
                x[3 * quarter] = minus(b, turned);
            }
    }
}

INLINE void negacyclic_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    (void)wide;
    const negacyclic_job *job = j;
    const i64 half = job->half;
    pair *z = scratch;
    for (i64 n = begin; n < end; n++) {
        const i64 first = n * LANES;
        const i64 live = job->lanes - first < LANES ? job->lanes - first : LANES;
        const uint32_t *from = job->words + first * job->words_lane;
        for (i64 k = 0; k < half; k += BLOCK) {
            v8 low[BLOCK], high[BLOCK];
            bring(low, from + k * job->words_step, job->words_lane, job->words_step, live, BLOCK);
            bring(high, from + (k + half) * job->words_step, job->words_lane, job->words_step,
                  live, BLOCK);
            for (i64 i = 0; i < BLOCK; i++) {
                const double *t = job->twist + 2 * (k + i);
                z[k + i] = times((pair){low[i], high[i]}, t[0], t[1]);
            }
        }
        forward(z, half, job->roots);
        for (i64 k = 0; k < half; k++)
            z[k] = times(z[k], job->factor[2 * k], job->factor[2 * k + 1]);
        backward(z, half, job->roots);
        for (i64 k = 0; k < half; k += BLOCK) {
            v8 low[BLOCK], high[BLOCK];
            for (i64 i = 0; i < BLOCK; i++) {
                const double *t = job->twist + 2 * (k + i);
                const pair x = times(z[k + i], t[0], -t[1]);
                low[i] = x.re;
                high[i] = x.im;
            }
            send(job, low, k, first, live);
            send(job, high, k + half, first, live);
        }
    }
}
BUILD(negacyclic)

EXPORT int hecf_negacyclic(const negacyclic_job *job)
{
    return parallel(negacyclic_worker(), job, (job->lanes + LANES - 1) / LANES, 1,
                    (size_t)job->half * sizeof(pair));
}
