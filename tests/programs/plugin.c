/* A library that thread_locals_late.c loads: its thread_locals have a place in every thread's
 * block. */
#define IN_EVERY_BLOCK __attribute__((tls_model("initial-exec"))) __thread

IN_EVERY_BLOCK int number = 77;
IN_EVERY_BLOCK char zeros[64];
static int seen;

__attribute__((constructor)) static void begin(void) { seen = number++; }

int constructor_saw(void) { return seen; }
int next_number(void) { return number++ + zeros[63]++; }
