/* Values over a stage's steps. */
#include "train/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct stage_config stage = {.steps = 101,
                                          .rate = 2,
                                          .warmup = 10.0 / 101,
                                          .final_rate = 0.1,
                                          .frame_weight = {1, 0.2},
                                          .noise_share = {0.15, 0.75},
                                          .snr_low = {10, -5},
                                          .noise_ramp = 0.5};

static void assert_near(double x, double y)
{
    assert_float_equal(x, y, 1e-9);
}

static void test_rate_warms_up_and_falls(void **state)
{
    (void)state;
    assert_near(schedule_rate(&stage, 0), 2 * 1 / 10.0);
    assert_near(schedule_rate(&stage, 4), 2 * 5 / 10.0);
    assert_near(schedule_rate(&stage, 10), 2);
    assert_near(schedule_rate(&stage, 10 + 91), 0.2); /* where the cosine ends */
    for (int64_t step = 11; step < 101; step++)
        assert_true(schedule_rate(&stage, step) < schedule_rate(&stage, step - 1));
    struct stage_config half = stage;
    half.warmup = 0;
    half.steps = 100;
    half.final_rate = 0;
    assert_near(schedule_rate(&half, 0), 2);
    assert_near(schedule_rate(&half, 50), 1);
}

/* However short the warm-up, the rate never passes its peak. */
static void test_rate_stays_below_its_peak(void **state)
{
    (void)state;
    for (int64_t steps = 1; steps < 60; steps++)
        for (double warmup = 0; warmup <= 1; warmup += 0.05)
            for (int64_t step = 0; step < steps; step++) {
                struct stage_config s = {.steps = steps, .rate = 1, .warmup = warmup};
                double rate = schedule_rate(&s, step);
                assert_true(rate >= 0 && rate <= 1);
            }
}

static void test_ramps(void **state)
{
    (void)state;
    assert_near(schedule_frame_weight(&stage, 0), 1);
    assert_near(schedule_frame_weight(&stage, 50), 0.6);
    assert_near(schedule_frame_weight(&stage, 100), 0.2);
    assert_near(schedule_noise_share(&stage, 0), 0.15);
    assert_near(schedule_noise_share(&stage, 25), 0.45);
    assert_near(schedule_noise_share(&stage, 50), 0.75);
    assert_near(schedule_noise_share(&stage, 100), 0.75);
    assert_near(schedule_snr_low(&stage, 0), 10);
    assert_near(schedule_snr_low(&stage, 25), 2.5);
    assert_near(schedule_snr_low(&stage, 90), -5);
    struct stage_config one = stage;
    one.steps = 1;
    one.noise_ramp = 0;
    assert_near(schedule_noise_share(&one, 0), 0.75);
    assert_near(schedule_frame_weight(&one, 0), 0.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_warms_up_and_falls),
        cmocka_unit_test(test_rate_stays_below_its_peak),
        cmocka_unit_test(test_ramps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
