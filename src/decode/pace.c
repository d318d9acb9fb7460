#include "decode/pace.h"

#include <math.h>
#include <string.h>

#define FIRST_DEVIATION 0.15 /* before anything was followed: a third more than predicted */
#define MEMORY (1 / 16.0)    /* of the exponential means: some sixteen requests */
#define MARGIN 2.0           /* deviations */
#define MOST_LOG 1.5         /* a stall of more than 4.5 times counts as that */
#define SWEEPS 20000
#define STILL 1e-10 /* relative change that ends the sweeps */

void pace_init(struct pace *p, const struct pace_costs *costs, double steps_per_second)
{
    const struct pace_drift first = {.variance = FIRST_DEVIATION * FIRST_DEVIATION};
    *p = (struct pace){.costs = *costs,
                       .audio = first,
                       .video = first,
                       .decoder = first,
                       .steps_per_second = steps_per_second};
}

double pace_curve(const double c[PACE_CURVE], double n)
{
    return c[0] + (c[1] + c[2] * n) * n;
}

void pace_decoder_terms(double terms[PACE_DECODER], const struct pace_work *work)
{
    const double all[PACE_DECODER] = {1,
                                      work->rows,
                                      work->keys,
                                      work->steps,
                                      work->step_rows,
                                      work->ctc_rows,
                                      work->ctc_rows * work->step_rows};
    memcpy(terms, all, sizeof all);
}

double pace_decoder(const double d[PACE_DECODER], const struct pace_work *work)
{
    double terms[PACE_DECODER], sum = 0;
    pace_decoder_terms(terms, work);
    for (int i = 0; i < PACE_DECODER; i++)
        sum += d[i] * terms[i];
    return sum;
}

double pace_drift_factor(const struct pace_drift *d)
{
    return exp(d->mean + MARGIN * sqrt(d->variance));
}

/* Of the newest in a mean of `count` before it: what it began with counts as one. */
static double weight_of(int64_t count)
{
    return fmax(MEMORY, 1.0 / (2.0 + (double)count));
}

void pace_drift_add(struct pace_drift *d, double real, double predicted)
{
    if (!(real > 0 && predicted > 0))
        return;
    double off = fmax(-MOST_LOG, fmin(MOST_LOG, log(real / predicted))) - d->mean;
    d->mean += weight_of(d->count++) * off;
    d->variance = (1 - MEMORY) * (d->variance + MEMORY * off * off);
}

void pace_add_steps(struct pace *p, double steps, double seconds)
{
    if (seconds > 0)
        p->steps_per_second += weight_of(p->count++) * (steps / seconds - p->steps_per_second);
}

/* How far beyond the limits, as a ratio; up to 1: within. */
static double beyond(const struct pace_plan *plan, double seconds, double bytes)
{
    return fmax(seconds > 0 ? plan->seconds / seconds : 0, bytes > 0 ? plan->bytes / bytes : 0);
}

int pace_pick(const struct pace_plan *plans, int count, double seconds, double bytes, bool *late)
{
    int least = 0;
    *late = false;
    for (int i = 0; i < count; i++) {
        double ratio = beyond(&plans[i], seconds, bytes);
        if (ratio <= 1)
            return i;
        if (ratio < beyond(&plans[least], seconds, bytes))
            least = i;
    }
    *late = true;
    return least;
}

/* Normal equations of the columns over y, each column of length 1: a [terms, terms], b [terms];
   scale[terms], 0 where a column is empty. */
static void normal_equations(double *a, double *b, double *scale, const double *x, const double *y,
                             int count, int terms)
{
    for (int j = 0; j < terms; j++) {
        double squares = 0;
        for (int i = 0; i < count; i++)
            squares += pow(x[i * terms + j] / y[i], 2);
        scale[j] = squares > 0 ? 1 / sqrt(squares) : 0;
    }
    for (int j = 0; j < terms; j++) {
        b[j] = 0;
        for (int i = 0; i < count; i++)
            b[j] += scale[j] * x[i * terms + j] / y[i];
        for (int k = 0; k < terms; k++) {
            a[j * terms + k] = 0;
            for (int i = 0; i < count; i++)
                a[j * terms + k] +=
                    scale[j] * scale[k] * x[i * terms + j] * x[i * terms + k] / (y[i] * y[i]);
        }
    }
}

/* One coefficient after the other to its best value that is not negative, until nothing moves. */
void pace_fit(double *c, const double *x, const double *y, int count, int terms)
{
    double a[PACE_MAX_TERMS * PACE_MAX_TERMS], b[PACE_MAX_TERMS], scale[PACE_MAX_TERMS];
    double moved = 1;
    normal_equations(a, b, scale, x, y, count, terms);
    memset(c, 0, (size_t)terms * sizeof *c);
    for (int sweep = 0; sweep < SWEEPS && moved > STILL; sweep++) {
        double most = 0;
        moved = 0;
        for (int j = 0; j < terms; j++) {
            double rest = b[j];
            for (int k = 0; k < terms; k++)
                rest -= k == j ? 0 : a[j * terms + k] * c[k];
            double next = scale[j] > 0 ? fmax(0, rest) : 0; /* a[j][j] is 1 */
            moved = fmax(moved, fabs(next - c[j]));
            most = fmax(most, next);
            c[j] = next;
        }
        moved = most > 0 ? moved / most : 0;
    }
    for (int j = 0; j < terms; j++)
        c[j] *= scale[j];
}
