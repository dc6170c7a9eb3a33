#include <cstdio>
#include <fern/config.hpp>

int main() { return std::puts(fern::version()) < 0; }
