/* The two products of hecf.he.own_key: one query on many items, many shoppers on small integers. */
#include "common.h"

typedef struct {
    const int32_t *items;  /* (tiles, groups, blocks, 2 LANES), centred */
    const uint32_t *query; /* (blocks, 2, ...): strides below, 2 LANES words a tile */
    uint32_t *out;         /* (groups, 2, ...): strides below, 2 LANES words a tile */
    i64 groups, blocks, query_block, query_component, out_group, out_component, terms;
    double p;
} query_job;

INLINE void query_groups(const query_job *job, const v8 *query, i64 tile, i64 group,
                         const int groups)
{
    const double p = job->p, inverse = 1.0 / p;
    const int32_t *items = job->items + (tile * job->groups + group) * job->blocks * 2 * LANES;
    v8 total[4][4] = {{{0}}};
    for (i64 start = 0; start < job->blocks; start += job->terms) {
        const i64 stop = start + job->terms < job->blocks ? start + job->terms : job->blocks;
        v8 sum[4][4] = {{{0}}};
        for (i64 k = start; k < stop; k++)
#pragma GCC unroll 4
            for (int g = 0; g < groups; g++) {
                const int32_t *from = items + (g * job->blocks + k) * 2 * LANES;
                /* Beyond the page, where processors do not look ahead by themselves. */
                __builtin_prefetch(from + groups * job->blocks * 2 * LANES);
                const v8 low = __builtin_convertvector(*(const s8_anywhere *)from, v8);
                const v8 high = __builtin_convertvector(*(const s8_anywhere *)(from + LANES), v8);
                sum[g][0] += low * query[4 * k];
                sum[g][1] += high * query[4 * k + 1];
                sum[g][2] += low * query[4 * k + 2];
                sum[g][3] += high * query[4 * k + 3];
            }
        for (int g = 0; g < groups; g++)
            for (int n = 0; n < 4; n++) total[g][n] += reduced(sum[g][n], p, inverse);
    }
    for (int g = 0; g < groups; g++)
        for (int n = 0; n < 4; n++) {
            uint32_t *to = job->out + (group + g) * job->out_group + n / 2 * job->out_component +
                           tile * 2 * LANES + n % 2 * LANES;
            *(s8_anywhere *)to = words(reduced(total[g][n], p, inverse), (int32_t)p);
        }
}

INLINE void query_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    (void)wide;
    const query_job *job = j;
    const int32_t q = (int32_t)job->p;
    /* Both components of all blocks at the positions of one tile, centred. */
    v8 *query = scratch;
    for (i64 tile = begin; tile < end; tile++) {
        for (i64 n = 0; n < 4 * job->blocks; n++) {
            const s8 x = *(const s8_anywhere *)(job->query + n / 4 * job->query_block +
                                                n / 2 % 2 * job->query_component +
                                                tile * 2 * LANES + n % 2 * LANES);
            query[n] = __builtin_convertvector(x - ((x > q / 2) & q), v8);
        }
        i64 group = 0;
        for (; group + 4 <= job->groups; group += 4) query_groups(job, query, tile, group, 4);
        for (; group < job->groups; group++) query_groups(job, query, tile, group, 1);
    }
}
BUILD(query)

EXPORT int hecf_query(const query_job *job, i64 tiles, i64 threads)
{
    return parallel(query_worker(), job, tiles, threads, (size_t)job->blocks * 4 * sizeof(v8));
}

#define ITEMS 8      /* items of a panel */
#define NEAR 16      /* coefficient panels that stay in the cache */

typedef struct {
    const double *items;    /* (item panels, factors, ITEMS) */
    const double *shoppers; /* (coefficient panels, factors, 2 LANES) */
    uint32_t *out;          /* (items, coefficients) */
    i64 count, factors, panels;
    double modulus, dropped, p; /* modulus = dropped * p */
} batch_job;

INLINE void batch_tile(const batch_job *job, i64 octet, i64 panel)
{
    const double *items = job->items + octet * job->factors * ITEMS;
    const v8_anywhere *m = (const v8_anywhere *)job->shoppers + panel * job->factors * 2;
    v8 sum[ITEMS][2] = {{{0}}};
    for (i64 k = 0; k < job->factors; k++, items += ITEMS, m += 2) {
        const v8 low = m[0], high = m[1];
#pragma GCC unroll 8
        for (int i = 0; i < ITEMS; i++) {
            sum[i][0] += items[i] * low;
            sum[i][1] += items[i] * high;
        }
    }
    const double q = job->modulus, d = job->dropped, p = job->p;
    const double over_q = 1.0 / q, over_d = 1.0 / d, over_p = 1.0 / p;
    const i64 live = job->count - octet * ITEMS < ITEMS ? job->count - octet * ITEMS : ITEMS;
    double values[ITEMS][2 * LANES];
    memcpy(values, sum, sizeof values);
    for (i64 i = 0; i < live; i++) {
        uint32_t *to = job->out + ((octet * ITEMS + i) * job->panels + panel) * 2 * LANES;
        for (int l = 0; l < 2 * LANES; l++) {
            const double rounded = nearest(reduce(values[i][l], q, over_q) * over_d);
            to[l] = word(reduce(rounded, p, over_p), (int32_t)p);
        }
    }
}

INLINE void batch_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    (void)wide;
    (void)scratch;
    const batch_job *job = j;
    for (i64 start = 0; start < job->panels; start += NEAR)
        for (i64 octet = begin; octet < end; octet++)
            for (i64 panel = start; panel < start + NEAR && panel < job->panels; panel++)
                batch_tile(job, octet, panel);
}
BUILD(batch)

EXPORT int hecf_batch(const batch_job *job, i64 threads)
{
    return parallel(batch_worker(), job, (job->count + ITEMS - 1) / ITEMS, threads, 0);
}
