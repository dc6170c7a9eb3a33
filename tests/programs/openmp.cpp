// OpenMP, whose threads wait by system calls of their own.
#include <cstdio>

#include "check.h"

int main() {
  long sum = 0;
  int turns = 0;
#pragma omp parallel num_threads(4)
  {
#pragma omp for reduction(+ : sum)
    for (int i = 0; i < 1000; ++i) sum += i;
    for (int i = 0; i < 50; ++i) {
#pragma omp barrier
#pragma omp critical
      ++turns;
    }
  }
  CHECK(sum == 499'500);
  CHECK(turns == 200);
  std::puts("openmp");
}
