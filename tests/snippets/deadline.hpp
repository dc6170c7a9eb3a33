#include <array>

extern fern::Event event;
extern fern::Socket socket;
extern fern::Address address;
extern std::array<char, 100> buffer;
