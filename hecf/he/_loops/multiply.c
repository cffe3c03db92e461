/* Products of matrices of polynomials, at every position of the transform separately. */
#include "common.h"

#define AHEAD 16      /* summands between asking for a cache line and reading it */
#define POSITIONS 16  /* positions of a tile: one cache line of words */
#define SIDE 64       /* rows and columns of a block of results */
#define STAGE 256     /* summands whose words are gathered at once */
#define DEPTH 64      /* summands between two visits of a sum: the panels stay in the caches */

typedef struct {
    const uint32_t *left, *right;
    const i64 *left_rows, *right_rows, *out_rows, *out_columns;
    uint32_t *out;
    i64 rows, columns, blocks, left_block, right_block, left_tile, right_tile;
    i64 left_second, right_second, out_second; /* 0 unless both have two components */
    i64 positions, terms;
    double p;
    int *failed; /* set when a thread gets no memory */
} multiply_job;

typedef struct {
    int32_t staged[2][2][SIDE * STAGE][POSITIONS]; /* side, component */
    v8 panel[2][SIDE * DEPTH];
    v8 sums[SIDE * SIDE];
    uint32_t result[3][SIDE * SIDE][POSITIONS];
} multiply_scratch;

/* Rows and columns in one register tile, out of those that are left. */
INLINE i64 row_panel(i64 left, int wide)
{
    return wide && left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

INLINE i64 column_panel(i64 left, int wide)
{
    if (wide && left >= 5) return left % 6 == 4 || left % 6 == 5 ? 5 : 6;
    return left >= 3 ? 3 : 1;
}

/* Gather centred words, panel by panel, so that each cache line is read once. */
INLINE void gather(int32_t (*to)[POSITIONS], const uint32_t *words, const i64 *rows, i64 width,
                   i64 block, i64 depth, i64 live, int32_t p)
{
    for (i64 r = 0; r < width; r++)
        for (i64 k = 0; k < depth; k++) {
            const uint32_t *from = words + rows[r] + k * block;
            int32_t *line = to[k * width + r];
            if (live == POSITIONS) {
                __builtin_prefetch(from + AHEAD * block);
                for (int i = 0; i < POSITIONS; i += LANES) {
                    const s8 x = *(const s8_anywhere *)(from + i);
                    *(s8 *)(line + i) = x - ((x > p / 2) & p);
                }
            } else
                for (i64 i = 0; i < POSITIONS; i++) {
                    const int32_t x = i < live ? (int32_t)from[i] : 0;
                    line[i] = x - (x > p / 2 ? p : 0);
                }
        }
}

/* Convert half of the positions of `count` lines; with `second`, of the sum of two components. */
INLINE void fill(v8 *panel, int32_t (*first)[POSITIONS], int32_t (*second)[POSITIONS], i64 count,
                 i64 half, int32_t p)
{
    for (i64 n = 0; n < count; n++) {
        s8 x = *(const s8 *)(first[n] + half * LANES);
        if (second) {
            x += *(const s8 *)(second[n] + half * LANES);
            x -= (x > p / 2) & p;
            x += (x < -(p / 2)) & p;
        }
        panel[n] = __builtin_convertvector(x, v8);
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

#define TILE(ROWS)                                                                      \
    if (columns == 6 && wide) micro(a, b, depth, c, ROWS, 6);                           \
    else if (columns == 5 && wide) micro(a, b, depth, c, ROWS, 5);                      \
    else if (columns == 3) micro(a, b, depth, c, ROWS, 3);                              \
    else micro(a, b, depth, c, ROWS, 1)

INLINE void micro_any(const v8 *a, const v8 *b, i64 depth, v8 *c, i64 rows, i64 columns, int wide)
{
    if (rows == 4 && wide) {
        TILE(4);
    } else if (rows == 2) {
        TILE(2);
    } else {
        TILE(1);
    }
}

/* Sums of products of `depth` staged lines at half of the positions, reduced, into `sums`.
 * `which` is the product of the first components, of the second, or of the sums of both. */
INLINE void product(multiply_scratch *s, i64 rows, i64 columns, i64 depth, i64 half, int which,
                    i64 terms, double p, int wide)
{
    const double inverse = 1.0 / p;
    const int32_t q = (int32_t)p;
    /* A sum starts from a reduced one, which counts as one term. */
    const i64 visits = (terms - 1 + DEPTH - 1) / DEPTH, chunk = (terms - 1) / visits;
    const i64 step = chunk < DEPTH ? chunk : DEPTH, exact = (terms - 1) / step;
    for (i64 i = 0; i < rows; i++) memset(s->sums + i * SIDE, 0, (size_t)columns * sizeof(v8));
    i64 visit = 0;
    for (i64 k = 0; k < depth; k += step) {
        const i64 d = depth - k < step ? depth - k : step;
        for (i64 i = 0, w; i < rows; i += w) {
            w = row_panel(rows - i, wide);
            const i64 at = i * depth + k * w;
            fill(s->panel[0] + i * d, s->staged[0][which == 1] + at,
                 which == 2 ? s->staged[0][1] + at : NULL, w * d, half, q);
        }
        for (i64 j = 0, w; j < columns; j += w) {
            w = column_panel(columns - j, wide);
            const i64 at = j * depth + k * w;
            fill(s->panel[1] + j * d, s->staged[1][which == 1] + at,
                 which == 2 ? s->staged[1][1] + at : NULL, w * d, half, q);
        }
        const int settle = ++visit % exact == 0 || k + d >= depth;
        for (i64 i = 0, w; i < rows; i += w) {
            w = row_panel(rows - i, wide);
            for (i64 j = 0, h; j < columns; j += h) {
                h = column_panel(columns - j, wide);
                v8 *corner = s->sums + i * SIDE + j;
                micro_any(s->panel[0] + i * d, s->panel[1] + j * d, d, corner, w, h, wide);
                for (i64 r = 0; settle && r < w; r++) {
                    double *values = (double *)(corner + r * SIDE);
                    for (i64 l = 0; l < h * LANES; l++) values[l] = reduce(values[l], p, inverse);
                }
            }
        }
    }
}

INLINE void stage(multiply_scratch *s, const multiply_job *job, i64 tile, i64 live, i64 row,
                  i64 rows, i64 column, i64 columns, i64 k, i64 depth, int wide)
{
    const int32_t q = (int32_t)job->p;
    for (int component = 0; component < (job->out_second ? 2 : 1); component++) {
        for (i64 i = 0, w; i < rows; i += w) {
            w = row_panel(rows - i, wide);
            gather(s->staged[0][component] + i * depth,
                   job->left + tile * job->left_tile + k * job->left_block + component * job->left_second,
                   job->left_rows + row + i, w, job->left_block, depth, live, q);
        }
        for (i64 j = 0, w; j < columns; j += w) {
            w = column_panel(columns - j, wide);
            gather(s->staged[1][component] + j * depth,
                   job->right + tile * job->right_tile + k * job->right_block + component * job->right_second,
                   job->right_rows + column + j, w, job->right_block, depth, live, q);
        }
    }
}

/* One block of at most SIDE x SIDE results at one tile of positions. */
INLINE void block(multiply_scratch *s, const multiply_job *job, i64 tile, i64 row, i64 rows,
                  i64 column, i64 columns, int wide)
{
    const uint32_t q = (uint32_t)job->p;
    const i64 at = tile * POSITIONS;
    const i64 live = job->positions - at < POSITIONS ? job->positions - at : POSITIONS;
    const int products = job->out_second ? 3 : 1;
    memset(s->result, 0, sizeof s->result[0] * (size_t)products);
    for (i64 k = 0; k < job->blocks; k += STAGE) {
        const i64 depth = job->blocks - k < STAGE ? job->blocks - k : STAGE;
        stage(s, job, tile, live, row, rows, column, columns, k, depth, wide);
        for (int n = 0; n < products; n++)
            for (i64 half = 0; half < POSITIONS / LANES; half++) {
                product(s, rows, columns, depth, half, n, job->terms, job->p, wide);
                for (i64 i = 0; i < rows; i++)
                    for (i64 j = 0; j < columns; j++) {
                        uint32_t *result = s->result[n][i * SIDE + j] + half * LANES;
                        const double *sum = (const double *)(s->sums + i * SIDE + j);
                        for (int l = 0; l < LANES; l++) {
                            const uint32_t total = result[l] + word(sum[l], (int32_t)q);
                            result[l] = total - (total >= q ? q : 0);
                        }
                    }
            }
    }
    for (i64 i = 0; i < rows; i++)
        for (i64 j = 0; j < columns; j++) {
            const uint32_t *first = s->result[0][i * SIDE + j];
            const uint32_t *second = s->result[1][i * SIDE + j];
            uint32_t *cross = s->result[2][i * SIDE + j];
            uint32_t *to = job->out + job->out_rows[row + i] + job->out_columns[column + j] + at;
            memcpy(to, first, (size_t)live * 4);
            if (products == 1) continue;
            for (int l = 0; l < POSITIONS; l++) {
                /* (a + b)(c + d) - a c - b d, from 0 to 3 q. */
                uint32_t x = cross[l] + 2 * q - first[l] - second[l];
                x -= x >= 2 * q ? 2 * q : 0;
                cross[l] = x - (x >= q ? q : 0);
            }
            memcpy(to + job->out_second, cross, (size_t)live * 4);
            memcpy(to + 2 * job->out_second, second, (size_t)live * 4);
        }
}

INLINE void multiply_body(const void *j, i64 begin, i64 end, int wide)
{
    const multiply_job *job = j;
    multiply_scratch *scratch = aligned_alloc(64, sizeof *scratch);
    if (!scratch) {
        *job->failed = 1;
        return;
    }
    for (i64 tile = begin; tile < end; tile++)
        for (i64 row = 0; row < job->rows; row += SIDE)
            for (i64 column = 0; column < job->columns; column += SIDE)
                block(scratch, job, tile, row,
                      job->rows - row < SIDE ? job->rows - row : SIDE, column,
                      job->columns - column < SIDE ? job->columns - column : SIDE, wide);
    free(scratch);
}
BUILD(multiply)

EXPORT void hecf_multiply(const multiply_job *job, i64 threads)
{
    parallel(multiply_worker(), job, (job->positions + POSITIONS - 1) / POSITIONS, threads);
}
