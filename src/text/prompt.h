/* The three tasks, and the instruction that the LLM is given for each (after the paper). */
#ifndef TEXT_PROMPT_H
#define TEXT_PROMPT_H

#include <stdbool.h>

enum task { TASK_ASR, TASK_VSR, TASK_AVSR, TASK_COUNT };

const char *task_name(enum task task); /* "asr" "vsr" "avsr" */
bool task_from_name(enum task *task, const char *name);
bool task_hears(enum task task); /* uses the sound */
bool task_sees(enum task task);  /* uses the pictures */
const char *task_prompt(enum task task);

#endif
