#include <iostream>

void tick();
