#include <fern/config.hpp>

#include <cstdio>

int main() { return std::puts(fern::version()) < 0; }
