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
#include <stdatomic.h>
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
typedef int32_t s8 __attribute__((vector_size(32)));
typedef double v4 __attribute__((vector_size(32)));
typedef int32_t s4 __attribute__((vector_size(16)));
typedef int32_t s4_anywhere __attribute__((vector_size(16), aligned(4)));
typedef int32_t s8_anywhere __attribute__((vector_size(32), aligned(4)));
typedef void worker(const void *job, i64 begin, i64 end, void *scratch);

#if defined(__x86_64__)
#define VARIANT(NAME, KIND, WIDE)                                                       \
    static void NAME##_##KIND(const void *job, i64 begin, i64 end, void *scratch)       \
    {                                                                                   \
        NAME##_body(job, begin, end, scratch, WIDE);                                    \
    }
#define BUILD(NAME)                                                                     \
    __attribute__((target("avx512f,prefer-vector-width=512"))) VARIANT(NAME, wide, 1)   \
    __attribute__((target("avx2,fma"))) VARIANT(NAME, medium, 0)                        \
    VARIANT(NAME, plain, 0)                                                             \
    static worker *NAME##_worker(void)                                                  \
    {                                                                                   \
        if (__builtin_cpu_supports("avx512f")) return NAME##_wide;                      \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))            \
            return NAME##_medium;                                                       \
        return NAME##_plain;                                                            \
    }
#else
#define BUILD(NAME)                                                                     \
    static void NAME##_plain(const void *job, i64 begin, i64 end, void *scratch)        \
    {                                                                                   \
        NAME##_body(job, begin, end, scratch, 0);                                       \
    }                                                                                   \
    static worker *NAME##_worker(void) { return NAME##_plain; }
#endif

/* ---- threads ---------------------------------------------------------------------------- */

/* Threads take the next piece when they have done one, because cores are seldom equally free: the
 * threads of a BLAS spin for a while after their work. */
#define PIECES 16

typedef struct {
    worker *work;
    const void *job;
    i64 count, piece;
    size_t scratch;
    atomic_llong next;
} shared_work;

/* NULL, or the work itself if this thread got no memory for its scratch. */
static void *run_pieces(void *argument)
{
    shared_work *shared = argument;
    void *scratch = NULL;
    if (shared->scratch && !(scratch = aligned_alloc(64, (shared->scratch + 63) / 64 * 64)))
        return argument;
    for (;;) {
        const i64 begin = atomic_fetch_add(&shared->next, shared->piece);
        if (begin >= shared->count) break;
        const i64 end = begin + shared->piece;
        shared->work(shared->job, begin, end < shared->count ? end : shared->count, scratch);
    }
    free(scratch);
    return NULL;
}

/* Work on `count` pieces with some bytes of scratch for each thread; -1 without memory. A thread
 * that does not start, or gets no memory, leaves its pieces to the others. */
static int __attribute__((unused))
parallel(worker *work, const void *job, i64 count, i64 threads, size_t scratch)
{
    pthread_t started[MOST_THREADS];
    i64 running = 0;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 1) threads = 1;
    shared_work shared = {work, job, count, (count - 1) / (threads * PIECES) + 1, scratch, 0};
    while (running < threads - 1 &&
           pthread_create(&started[running], NULL, run_pieces, &shared) == 0)
        running++;
    const int failed = run_pieces(&shared) != NULL;
    while (running > 0) pthread_join(started[--running], NULL);
    return failed ? -1 : 0;
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

INLINE v8 reduced(v8 x, double p, double inverse)
{
    const double magic = 6755399441055744.0;
    return x - ((x * inverse + magic) - magic) * p;
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

INLINE s8 words(v8 centred, int32_t p)
{
    const s8 x = __builtin_convertvector(centred, s8);
    return x + ((x < 0) & p);
}

INLINE double centred(uint32_t w, int32_t p)
{
    int32_t x = (int32_t)w;
    return (double)(x - (x > p / 2 ? p : 0));
}
