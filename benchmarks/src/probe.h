// An unrelated client in a thread of its own: it publishes over its own WebSocket connection to a channel that nobody
// reads, and times the replies.
#pragma once
#include "measure.h"

void probe_start(void);
void probe_count(struct histogram *histogram); // where round trips that begin now belong; NULL: nowhere
void probe_stop(void);
