/* Residues between words and centred float64 values; words between four and three bytes. */
#include "common.h"

EXPORT int hecf_loops_version(void) { return 7; }

#define CHUNK 4096

typedef struct { const void *in; void *out; i64 count; double p; } convert_job;

#define CONVERT(NAME, FROM, TO, EXPRESSION)                                             \
    INLINE void NAME##_body(const void *j, i64 begin, i64 end, void *s, int wide)       \
    {                                                                                   \
        (void)wide; (void)s;                                                            \
        const convert_job *job = j;                                                     \
        const FROM *in = job->in;                                                       \
        TO *out = job->out;                                                             \
        const double p = job->p, inverse = 1.0 / p, half = (double)((i64)p / 2);        \
        const int32_t q = (int32_t)p;                                                   \
        (void)inverse; (void)half; (void)q;                                             \
        i64 last = end * CHUNK < job->count ? end * CHUNK : job->count;                 \
        for (i64 i = begin * CHUNK; i < last; i++) out[i] = EXPRESSION;                 \
    }                                                                                   \
    BUILD(NAME)                                                                         \
    EXPORT void hecf_##NAME(const void *in, void *out, i64 count, double p, i64 threads) \
    {                                                                                   \
        convert_job job = {in, out, count, p};                                          \
        parallel(NAME##_worker(), &job, (count + CHUNK - 1) / CHUNK, threads, 0);       \
    }

CONVERT(centre, uint32_t, double, centred(in[i], q))
CONVERT(to_words, double, uint32_t, word(in[i], q))
CONVERT(reduce, double, double, canonical(reduce(in[i], p, inverse), p, half))
CONVERT(reduce_to_words, double, uint32_t, word(reduce(in[i], p, inverse), q))

EXPORT void hecf_pack(const uint32_t *words, uint8_t *octets, i64 count)
{
    for (i64 i = 0; i < count; i++) {
        octets[3 * i] = (uint8_t)words[i];
        octets[3 * i + 1] = (uint8_t)(words[i] >> 8);
        octets[3 * i + 2] = (uint8_t)(words[i] >> 16);
    }
}

EXPORT void hecf_unpack(const uint8_t *octets, uint32_t *words, i64 count)
{
    for (i64 i = 0; i < count; i++)
        words[i] = octets[3 * i] | (uint32_t)octets[3 * i + 1] << 8 |
                   (uint32_t)octets[3 * i + 2] << 16;
}
