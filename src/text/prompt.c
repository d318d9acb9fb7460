#include "text/prompt.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *name, *prompt;
    bool hears, sees;
} tasks[TASK_COUNT] = {
    [TASK_ASR] = {"asr", "Transcribe speech to text.", true, false},
    [TASK_VSR] = {"vsr", "Transcribe video to text.", false, true},
    [TASK_AVSR] = {"avsr", "Transcribe speech and video to text.", true, true},
};

const char *task_name(enum task task)
{
    assert(task < TASK_COUNT);
    return tasks[task].name;
}

bool task_from_name(enum task *task, const char *name)
{
    for (int i = 0; i < TASK_COUNT; i++) {
        if (strcmp(name, tasks[i].name) == 0) {
            *task = (enum task)i;
            return true;
        }
    }
    return false;
}

bool task_hears(enum task task)
{
    assert(task < TASK_COUNT);
    return tasks[task].hears;
}

bool task_sees(enum task task)
{
    assert(task < TASK_COUNT);
    return tasks[task].sees;
}

const char *task_prompt(enum task task)
{
    assert(task < TASK_COUNT);
    return tasks[task].prompt;
}
