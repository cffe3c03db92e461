/* Exact modular loops over float64, for hecf.he.loops.
 *
 * Residues modulo a prime below 2**24 are multiplied as centred float64 integers, whose sums stay
 * below 2**53. Every result is the canonical residue, so it does not matter whether the compiler
 * contracts a product and a sum, nor which instructions the processor has.
 *
 * Every loop is compiled for several instruction sets and picked when it runs; work is split
 * over threads that live for one call.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define MOST_THREADS 64

typedef int64_t i64;
typedef double v8 __attribute__((vector_size(64)));
typedef double v8_anywhere __attribute__((vector_size(64), aligned(8)));
typedef void worker(const void *job, i64 begin, i64 end);

EXPORT int hecf_loops_version(void) { return 1; }

#if defined(__x86_64__)
#define BUILD(NAME)                                                                     \
    __attribute__((target("avx512f"))) static void NAME##_wide(const void *j, i64 b, i64 e) \
    { NAME##_body(j, b, e, 1); }                                                        \
    __attribute__((target("avx2,fma"))) static void NAME##_medium(const void *j, i64 b, i64 e) \
    { NAME##_body(j, b, e, 0); }                                                        \
    static void NAME##_plain(const void *j, i64 b, i64 e) { NAME##_body(j, b, e, 0); }  \
    static worker *NAME##_worker(void)                                                  \
    {                                                                                   \
        if (__builtin_cpu_supports("avx512f")) return NAME##_wide;                      \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))            \
            return NAME##_medium;                                                       \
        return NAME##_plain;                                                            \
    }
#else
#define BUILD(NAME)                                                                     \
    static void NAME##_plain(const void *j, i64 b, i64 e) { NAME##_body(j, b, e, 0); }  \
    static worker *NAME##_worker(void) { return NAME##_plain; }
#endif

/* ---- threads ---------------------------------------------------------------------------- */

typedef struct { worker *work; const void *job; i64 begin, end; } share;

static void *run_share(void *argument)
{
    const share *s = argument;
    s->work(s->job, s->begin, s->end);
    return NULL;
}

static void parallel(worker *work, const void *job, i64 count, i64 threads)
{
    pthread_t started[MOST_THREADS];
    share shares[MOST_THREADS];
    int running[MOST_THREADS];
    if (threads > count) threads = count;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 1) threads = 1;
    for (i64 t = threads - 1; t >= 0; t--) {
        shares[t] = (share){work, job, count * t / threads, count * (t + 1) / threads};
        running[t] = t > 0 && pthread_create(&started[t], NULL, run_share, &shares[t]) == 0;
        if (!running[t]) run_share(&shares[t]);
    }
    for (i64 t = 1; t < threads; t++)
        if (running[t]) pthread_join(started[t], NULL);
}

/* ---- residues --------------------------------------------------------------------------- */

/* Nearest integer of |x| < 2**51. */
INLINE double nearest(double x)
{
    const double magic = 6755399441055744.0; /* 1.5 * 2**52 */
    return (x + magic) - magic;
}

/* Centred residue of an integer of at most 2**53 - p, perhaps one beyond the half. */
INLINE double reduce(double x, double p, double inverse)
{
    return x - nearest(x * inverse) * p;
}

INLINE double canonical(double x, double p, double half)
{
    x = x > half ? x - p : x;
    return x < -half ? x + p : x;
}

INLINE uint32_t word(double centred, int32_t p)
{
    int32_t x = (int32_t)centred;
    return (uint32_t)(x + (x < 0 ? p : 0));
}

INLINE double centred(uint32_t w, int32_t p)
{
    int32_t x = (int32_t)w;
    return (double)(x - (x > p / 2 ? p : 0));
}

/* ---- elementwise ------------------------------------------------------------------------ */

#define CHUNK 4096

typedef struct { const void *in; void *out; i64 count; double p; } convert_job;

#define CONVERT(NAME, FROM, TO, EXPRESSION)                                             \
    INLINE void NAME##_body(const void *j, i64 begin, i64 end, int wide)                \
    {                                                                                   \
        (void)wide;                                                                     \
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
        parallel(NAME##_worker(), &job, (count + CHUNK - 1) / CHUNK, threads);          \
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

/* ---- products at every position --------------------------------------------------------- */

#define SIDE 48       /* rows and columns of a block of results: the caches hold its panels */
#define DEPTH 64      /* summands between two visits of a block */

typedef struct {
    const uint32_t *left, *right;
    const i64 *left_rows, *right_rows, *out_rows, *out_columns;
    uint32_t *out;
    i64 rows, columns, blocks, left_block, right_block;
    i64 left_second, right_second, out_second; /* 0 unless both have two components */
    i64 positions, terms;
    double p;
    int *failed; /* set when a thread gets no memory */
} multiply_job;

/* Panel: for every summand, the centred values of `width` rows at LANES positions. */
INLINE void fill(double *panel, const uint32_t *words, const i64 *rows, i64 width, i64 block,
                 i64 depth, i64 second, i64 lanes, int32_t p)
{
    const double half = p / 2, q = p;
    for (i64 k = 0; k < depth; k++)
        for (i64 r = 0; r < width; r++, panel += LANES) {
            const uint32_t *from = words + rows[r] + k * block;
            if (lanes == LANES) {
                for (int i = 0; i < LANES; i++) panel[i] = centred(from[i], p);
                if (second)
                    for (int i = 0; i < LANES; i++)
                        panel[i] = canonical(panel[i] + centred(from[i + second], p), q, half);
                continue;
            }
            for (int i = 0; i < LANES; i++) {
                double x = i < lanes ? centred(from[i], p) : 0.0;
                if (second && i < lanes) x = canonical(x + centred(from[i + second], p), q, half);
                panel[i] = x;
            }
        }
}

INLINE void micro(const v8 *a, const v8 *b, i64 depth, v8 *c, const int rows, const int columns)
{
    v8 sum[4][6];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) sum[i][j] = c[i * SIDE + j];
    for (i64 k = 0; k < depth; k++, a += rows, b += columns) {
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 6
            for (int j = 0; j < columns; j++) sum[i][j] += a[i] * b[j];
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) c[i * SIDE + j] = sum[i][j];
}

/* Widths that panels have, from the largest: 4, 2, 1 and 6, 3, 1, or 2, 1 and 3, 1. */
INLINE i64 row_panel(i64 left, int wide)
{
    return wide && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE i64 column_panel(i64 left, int wide)
{
    return wide && left >= 6 ? 6 : left >= 3 ? 3 : 1;
}

INLINE void micro_any(const v8 *a, const v8 *b, i64 depth, v8 *c, i64 rows, i64 columns, int wide)
{
    if (columns == 6 && wide) {
        if (rows == 4) micro(a, b, depth, c, 4, 6);
        else if (rows == 2) micro(a, b, depth, c, 2, 6);
        else micro(a, b, depth, c, 1, 6);
    } else if (columns == 3) {
        if (rows == 4 && wide) micro(a, b, depth, c, 4, 3);
        else if (rows == 2) micro(a, b, depth, c, 2, 3);
        else micro(a, b, depth, c, 1, 3);
    } else {
        if (rows == 4 && wide) micro(a, b, depth, c, 4, 1);
        else if (rows == 2) micro(a, b, depth, c, 2, 1);
        else micro(a, b, depth, c, 1, 1);
    }
}

/* One block of at most SIDE x SIDE sums at `lanes` positions: residues into `c`. */
INLINE void product(const multiply_job *job, i64 at, i64 lanes, i64 row, i64 rows, i64 column,
                    i64 columns, i64 left_shift, i64 right_shift, int summed, double *scratch,
                    v8 *c, int wide)
{
    const int32_t q = (int32_t)job->p;
    const double p = job->p, inverse = 1.0 / p;
    double *a = scratch, *b = scratch + SIDE * DEPTH * LANES;
    const i64 visits = (job->terms - 1 + DEPTH - 1) / DEPTH;
    const i64 depth = (job->terms - 1) / visits < DEPTH ? (job->terms - 1) / visits : DEPTH;
    const i64 exact = (job->terms - 1) / depth;
    for (i64 i = 0; i < rows; i++) memset(c + i * SIDE, 0, (size_t)columns * sizeof(v8));
    i64 visit = 0;
    for (i64 k = 0; k < job->blocks; k += depth) {
        const i64 d = job->blocks - k < depth ? job->blocks - k : depth;
        for (i64 i = 0, w; i < rows; i += w) {
            w = row_panel(rows - i, wide);
            fill(a + i * d * LANES, job->left + left_shift + at + k * job->left_block,
                 job->left_rows + row + i, w, job->left_block, d, summed ? job->left_second : 0,
                 lanes, q);
        }
        for (i64 j = 0, w; j < columns; j += w) {
            w = column_panel(columns - j, wide);
            fill(b + j * d * LANES, job->right + right_shift + at + k * job->right_block,
                 job->right_rows + column + j, w, job->right_block, d,
                 summed ? job->right_second : 0, lanes, q);
        }
        const int last = k + d >= job->blocks, settle = last || ++visit % exact == 0;
        for (i64 i = 0, w; i < rows; i += w) {
            w = row_panel(rows - i, wide);
            for (i64 j = 0, h; j < columns; j += h) {
                h = column_panel(columns - j, wide);
                v8 *corner = c + i * SIDE + j;
                micro_any((const v8 *)(a + i * d * LANES), (const v8 *)(b + j * d * LANES), d,
                          corner, w, h, wide);
                if (!settle) continue;
                for (i64 r = 0; r < w; r++) {
                    double *values = (double *)(corner + r * SIDE);
                    for (i64 l = 0; l < h * LANES; l++) values[l] = reduce(values[l], p, inverse);
                }
            }
        }
    }
}

INLINE void multiply_body(const void *j, i64 begin, i64 end, int wide)
{
    const multiply_job *job = j;
    const int32_t q = (int32_t)job->p;
    const double p = job->p, inverse = 1.0 / p;
    const size_t panels = 2 * SIDE * DEPTH * LANES, block = SIDE * SIDE;
    const int products = job->out_second ? 3 : 1;
    double *scratch = aligned_alloc(64, (panels + 3 * block * LANES) * sizeof(double));
    if (!scratch) {
        *job->failed = 1;
        return;
    }
    v8 *c = (v8 *)(scratch + panels);
    for (i64 tile = begin; tile < end; tile++) {
        const i64 at = tile * LANES;
        const i64 lanes = job->positions - at < LANES ? job->positions - at : LANES;
        for (i64 row = 0; row < job->rows; row += SIDE) {
            const i64 rows = job->rows - row < SIDE ? job->rows - row : SIDE;
            for (i64 column = 0; column < job->columns; column += SIDE) {
                const i64 columns = job->columns - column < SIDE ? job->columns - column : SIDE;
                for (int n = 0; n < products; n++)
                    product(job, at, lanes, row, rows, column, columns,
                            n == 1 ? job->left_second : 0, n == 1 ? job->right_second : 0, n == 2,
                            scratch, c + n * block, wide);
                for (i64 i = 0; i < rows; i++)
                    for (i64 k = 0; k < columns; k++) {
                        const double *first = (const double *)(c + i * SIDE + k);
                        const double *second = first + block * LANES;
                        const double *sum = second + block * LANES;
                        uint32_t words[3][LANES];
                        for (int l = 0; l < LANES; l++) words[0][l] = word(first[l], q);
                        if (products == 3)
                            for (int l = 0; l < LANES; l++) {
                                double cross = sum[l] - first[l] - second[l];
                                words[1][l] = word(reduce(cross, p, inverse), q);
                                words[2][l] = word(second[l], q);
                            }
                        uint32_t *to = job->out + job->out_rows[row + i] +
                                       job->out_columns[column + k] + at;
                        for (int n = 0; n < products; n++)
                            memcpy(to + n * job->out_second, words[n], (size_t)lanes * 4);
                    }
            }
        }
    }
    free(scratch);
}
BUILD(multiply)

EXPORT void hecf_multiply(const multiply_job *job, i64 threads)
{
    parallel(multiply_worker(), job, (job->positions + LANES - 1) / LANES, threads);
}

/* ---- a matrix of polynomials times a few ciphertexts -------------------------------------- */

typedef struct {
    const int32_t *items; /* (tiles, groups, blocks, 2 LANES), centred */
    const double *query;  /* (tiles, blocks, 2, 2 LANES), centred */
    uint32_t *out;        /* (groups, 2, ...): strides below, 2 LANES words a tile */
    i64 groups, blocks, out_group, out_component, terms;
    double p;
} query_job;

#define WIDEN(to, from)                                                                 \
    for (int lane = 0; lane < LANES; lane++) (to)[lane] = (double)(from)[lane]

INLINE void query_groups(const query_job *job, i64 tile, i64 group, const int groups)
{
    const double p = job->p, inverse = 1.0 / p;
    const v8_anywhere *query = (const v8_anywhere *)job->query + tile * job->blocks * 4;
    const int32_t *items = job->items + (tile * job->groups + group) * job->blocks * 2 * LANES;
    double total[4][4 * LANES] __attribute__((aligned(64))) = {{0}};
    for (i64 start = 0; start < job->blocks; start += job->terms) {
        const i64 stop = start + job->terms < job->blocks ? start + job->terms : job->blocks;
        v8 sum[4][4] = {{{0}}};
        for (i64 k = start; k < stop; k++)
#pragma GCC unroll 4
            for (int g = 0; g < groups; g++) {
                const int32_t *from = items + (g * job->blocks + k) * 2 * LANES;
                v8 low, high;
                WIDEN(low, from);
                WIDEN(high, from + LANES);
                sum[g][0] += low * query[4 * k];
                sum[g][1] += high * query[4 * k + 1];
                sum[g][2] += low * query[4 * k + 2];
                sum[g][3] += high * query[4 * k + 3];
            }
        for (int g = 0; g < groups; g++) {
            double part[4 * LANES];
            memcpy(part, sum[g], sizeof part);
            for (int l = 0; l < 4 * LANES; l++) total[g][l] += reduce(part[l], p, inverse);
        }
    }
    for (int g = 0; g < groups; g++)
        for (int c = 0; c < 2; c++) {
            uint32_t *to = job->out + (group + g) * job->out_group + c * job->out_component +
                           tile * 2 * LANES;
            for (int l = 0; l < 2 * LANES; l++)
                to[l] = word(reduce(total[g][2 * LANES * c + l], p, inverse), (int32_t)p);
        }
}

INLINE void query_body(const void *j, i64 begin, i64 end, int wide)
{
    (void)wide;
    const query_job *job = j;
    for (i64 tile = begin; tile < end; tile++) {
        i64 group = 0;
        for (; group + 4 <= job->groups; group += 4) query_groups(job, tile, group, 4);
        for (; group < job->groups; group++) query_groups(job, tile, group, 1);
    }
}
BUILD(query)

EXPORT void hecf_query(const query_job *job, i64 tiles, i64 threads)
{
    parallel(query_worker(), job, tiles, threads);
}
