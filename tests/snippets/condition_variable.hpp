#include <mutex>
#include <utility>
#include <vector>

struct Job {};
void run(const Job& job);
