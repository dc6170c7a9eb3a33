#include <mutex>

extern int balance;
void log(int balance);
