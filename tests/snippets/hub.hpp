#include <thread>

int compute();
void show(int result);
