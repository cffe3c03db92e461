/* Products of matrices of polynomials, at every position of the transform separately. */
#include "common.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define AHEAD 16      /* summands between asking for a cache line and reading it */
#define POSITIONS 16  /* positions of a tile: one cache line of words */
#define HALVES (POSITIONS / LANES)
#define SIDE 64       /* rows and columns of a block of results */
#define STAGE 256     /* summands whose words are gathered at once */
#define DEPTH 32      /* summands between two visits of a sum: what they need stays in the caches */
#define ASK 8         /* cache lines to ask for in one register tile */

typedef struct {
    const uint32_t *left, *right;
    const i64 *left_rows, *right_rows, *out_rows, *out_columns;
    uint32_t *out;
    i64 rows, columns, blocks, left_block, right_block, left_tile, right_tile;
    i64 left_second, right_second, out_second; /* 0 unless both have two components */
    i64 positions, terms, centred; /* words are centred, in whole tiles: see lines */
    double p;
} multiply_job;

typedef struct {
    int32_t staged[2][HALVES][STAGE][SIDE][2][LANES]; /* by side */
    v8 panel[2][SIDE * DEPTH];
    v8 sums[HALVES][3][SIDE * SIDE];
} multiply_scratch;

/* One side of a product, centred: row r and summand k at half h of the positions lie at
 * words[r * row + k * block + h * half], and the second component `second` words further. */
typedef struct {
    const int32_t *words;
    i64 rows, row, block, second, half;
} lines;

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

/* Convert `depth` lines of some rows to float64: the first components, the second, or the sums of
 * both. */
INLINE void fill(v8 *panel, const lines *from, i64 row, i64 width, i64 depth, int which, int32_t p)
{
    const int32_t *first = from->words + row * from->row + (which == 1 ? from->second : 0);
    for (i64 k = 0; k < depth; k++)
        for (i64 r = 0; r < width; r++) {
            const int32_t *line = first + k * from->block + r * from->row;
            s8 x = *(const s8_anywhere *)line;
            if (which == 2) {
                x += *(const s8_anywhere *)(line + from->second);
                x -= (x > p / 2) & p;
                x += (x < -(p / 2)) & p;
            }
            *panel++ = __builtin_convertvector(x, v8);
        }
}

/* Ask for a few of the lines that the next summands will need, `ahead` words further. */
INLINE void ask(const lines *sides, const i64 *ahead, i64 turn)
{
    const i64 parts = (sides[0].rows + ASK - 1) / ASK, k = turn / 2 / parts;
    const lines *from = &sides[turn % 2];
    const int32_t *line = from->words + ahead[turn % 2] + k * from->block;
    if (k >= DEPTH) return;
    for (i64 r = turn / 2 % parts * ASK, end = r + ASK; r < end; r++)
        __builtin_prefetch(line + r * from->row, 0, 2);
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

/* Add the products of `depth` lines to the sums of half a tile, and reduce these.
 * With two components on both sides they are the products of the first components, of the second,
 * and of the sums of both. */
INLINE void add_products(multiply_scratch *s, v8 (*sums)[SIDE * SIDE], const lines *sides,
                         i64 depth, i64 terms, double p, int wide)
{
    const double inverse = 1.0 / p;
    const i64 rows = sides[0].rows, columns = sides[1].rows;
    const int products = sides[0].second && sides[1].second ? 3 : 1;
    /* A sum starts from a reduced one, which counts as one term. */
    const i64 visits = (terms - 1 + DEPTH - 1) / DEPTH, chunk = (terms - 1) / visits;
    const i64 step = chunk < DEPTH ? chunk : DEPTH, exact = (terms - 1) / step;
    i64 visit = 0;
    for (i64 k = 0; k < depth; k += step) {
        const i64 d = depth - k < step ? depth - k : step;
        const int last = k + d >= depth, settle = ++visit % exact == 0 || last;
        lines now[2];
        i64 ahead[2], turn = 0;
        for (int side = 0; side < 2; side++) {
            now[side] = sides[side];
            now[side].words += k * sides[side].block;
            ahead[side] = last ? sides[side].half - k * sides[side].block : d * sides[side].block;
        }
        for (int n = 0; n < products; n++) {
            for (i64 i = 0, w; i < rows; i += w) {
                w = row_panel(rows - i, wide);
                fill(s->panel[0] + i * d, &now[0], i, w, d, n, (int32_t)p);
            }
            for (i64 j = 0, w; j < columns; j += w) {
                w = column_panel(columns - j, wide);
                fill(s->panel[1] + j * d, &now[1], j, w, d, n, (int32_t)p);
            }
            for (i64 i = 0, w; i < rows; i += w) {
                w = row_panel(rows - i, wide);
                for (i64 j = 0, h; j < columns; j += h) {
                    h = column_panel(columns - j, wide);
                    v8 *corner = sums[n] + i * SIDE + j;
                    ask(now, ahead, turn++);
                    micro_any(s->panel[0] + i * d, s->panel[1] + j * d, d, corner, w, h, wide);
                    for (i64 r = 0; settle && r < w; r++)
                        for (v8 *sum = corner + r * SIDE; sum < corner + r * SIDE + h; sum++)
                            *sum = reduced(*sum, p, inverse);
                }
            }
        }
    }
}

/* Centre words and bring them together, so that each cache line is read once. */
INLINE void gather(multiply_scratch *s, int side, lines *from, const i64 *rows, i64 depth,
                   i64 live, int32_t p)
{
    for (int component = 0; component < (from->second ? 2 : 1); component++)
        for (i64 r = 0; r < from->rows; r++)
            for (i64 k = 0; k < depth; k++) {
                const int32_t *words = from->words + component * from->second + rows[r] +
                                       k * from->block;
                int32_t tail[POSITIONS] = {0};
                if (live == POSITIONS)
                    __builtin_prefetch(words + AHEAD * from->block);
                else
                    words = memcpy(tail, words, (size_t)live * sizeof *tail);
                for (int half = 0; half < HALVES; half++) {
                    const s8 x = *(const s8_anywhere *)(words + half * LANES);
                    *(s8 *)s->staged[side][half][k][r][component] = x - ((x > p / 2) & p);
                }
            }
    from->words = (const int32_t *)s->staged[side];
    from->row = 2 * LANES;
    from->block = SIDE * from->row;
    from->half = STAGE * from->block;
    from->second = from->second ? LANES : 0;
}

/* How far apart rows are that are equally far apart. */
INLINE i64 apart(const i64 *rows, i64 count) { return count > 1 ? rows[1] - rows[0] : 0; }

/* Write the words of a tile. Whole lines go past the caches, which would read them first. */
INLINE void write_tile(uint32_t *to, const uint32_t *words, i64 live)
{
#if defined(__SSE2__)
    if (live == POSITIONS && (uintptr_t)to % (POSITIONS * sizeof *to) == 0) {
        for (int n = 0; n < POSITIONS; n += 4)
            _mm_stream_si128((__m128i *)(to + n), *(const __m128i *)(words + n));
        return;
    }
#endif
    memcpy(to, words, (size_t)live * sizeof *to);
}

/* One block of at most SIDE x SIDE results at one tile of positions. */
INLINE void block(multiply_scratch *s, const multiply_job *job, i64 tile, i64 row, i64 rows,
                  i64 column, i64 columns, int wide)
{
    const double p = job->p, inverse = 1.0 / p;
    const i64 at = tile * POSITIONS;
    const i64 live = job->positions - at < POSITIONS ? job->positions - at : POSITIONS;
    const i64 stage = job->centred ? job->blocks : STAGE;
    const int products = job->out_second ? 3 : 1;
    for (int half = 0; half < HALVES; half++)
        for (int n = 0; n < products; n++)
            for (i64 i = 0; i < rows; i++)
                memset(s->sums[half][n] + i * SIDE, 0, (size_t)columns * sizeof(v8));
    for (i64 k = 0; k < job->blocks; k += stage) {
        const i64 depth = job->blocks - k < stage ? job->blocks - k : stage;
        const i64 *at_rows[2] = {job->left_rows + row, job->right_rows + column};
        lines sides[2] = {
            {(const int32_t *)job->left + tile * job->left_tile + k * job->left_block, rows,
             apart(job->left_rows, job->rows), job->left_block, job->left_second,
             job->left_tile / HALVES},
            {(const int32_t *)job->right + tile * job->right_tile + k * job->right_block, columns,
             apart(job->right_rows, job->columns), job->right_block, job->right_second,
             job->right_tile / HALVES},
        };
        for (int side = 0; side < 2; side++)
            if (job->centred)
                sides[side].words += at_rows[side][0];
            else
                gather(s, side, &sides[side], at_rows[side], depth, live, (int32_t)p);
        for (int half = 0; half < HALVES; half++) {
            add_products(s, s->sums[half], sides, depth, job->terms, p, wide);
            for (int side = 0; side < 2; side++) sides[side].words += sides[side].half;
        }
    }
    for (i64 i = 0; i < rows; i++)
        for (i64 j = 0; j < columns; j++) {
            uint32_t results[3][POSITIONS] __attribute__((aligned(64)));
            for (int half = 0; half < HALVES; half++) {
                const i64 of = i * SIDE + j, l = half * LANES;
                const v8 first = s->sums[half][0][of];
                *(s8 *)(results[0] + l) = words(first, (int32_t)p);
                if (products == 1) continue;
                const v8 second = s->sums[half][1][of], both = s->sums[half][2][of];
                /* (a + b)(c + d) - a c - b d */
                *(s8 *)(results[1] + l) =
                    words(reduced(both - first - second, p, inverse), (int32_t)p);
                *(s8 *)(results[2] + l) = words(second, (int32_t)p);
            }
            uint32_t *to = job->out + job->out_rows[row + i] + job->out_columns[column + j] + at;
            for (int n = 0; n < products; n++)
                write_tile(to + n * job->out_second, results[n], live);
        }
}

INLINE void multiply_body(const void *j, i64 begin, i64 end, void *scratch, int wide)
{
    const multiply_job *job = j;
    multiply_scratch *s = scratch;
    for (i64 tile = begin; tile < end; tile++)
        for (i64 row = 0; row < job->rows; row += SIDE)
            for (i64 column = 0; column < job->columns; column += SIDE)
                block(s, job, tile, row,
                      job->rows - row < SIDE ? job->rows - row : SIDE, column,
                      job->columns - column < SIDE ? job->columns - column : SIDE, wide);
#if defined(__SSE2__)
    _mm_sfence();
#endif
}
BUILD(multiply)

EXPORT int hecf_multiply(const multiply_job *job, i64 threads)
{
    return parallel(multiply_worker(), job, (job->positions + POSITIONS - 1) / POSITIONS, threads,
                    sizeof(multiply_scratch));
}
