// An application's backend in a thread of its own: answers at once what a server asks it over HTTP/1.1.
#pragma once
#include "base.h"

#define BACKEND_USER "bench"

// Listens on options.backend. `/rpc` gives a call's data back, `/connect` says that the client is BACKEND_USER; anything
// else that is asked ends the program.
void backend_start(void);
uint64_t backend_calls(void); // that were answered so far
unsigned backend_connections(void); // that were opened so far
