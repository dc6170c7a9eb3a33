// The truth about recvfrom.

#include "monkey/truth.hpp"

#include <arpa/inet.h>

#include <algorithm>

using namespace fern::truth;

namespace {

void receive_from(World& world, int fd, std::size_t size = 8, int flags = 0,
                  socklen_t room = sizeof(sockaddr_storage)) {
  char bytes[64] = {};
  sockaddr_storage from{};
  socklen_t from_size = room;
  ssize_t got = world.call("recvfrom", [&] {
    return recvfrom(fd, bytes, size, flags, reinterpret_cast<sockaddr*>(&from), &from_size);
  });
  world.note("data", text(bytes, std::min<ssize_t>(got, 64)));
  world.note("family", from.ss_family);
  world.note("address size", from_size);
  if (from.ss_family == AF_INET && from_size == sizeof(sockaddr_in)) {
    char name[64];
    inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(from).sin_addr, name, sizeof name);
    world.note("address", name);
  }
}

const Rows recvfrom_rows("Recvfrom",
                         {
                             {"says who sent a datagram",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "ab", 2, 0);
                                receive_from(world, here);
                              }},
                             {"waits, and says who sent a datagram",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                auto peer = world.will_send(there, {"ab"});
                                receive_from(world, here);
                              }},
                             {"with room for half an address",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                auto peer = world.will_send(there, {"ab"});
                                receive_from(world, here, 8, 0, 5);
                              }},
                             {"with room for no address",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "ab", 2, 0);
                                receive_from(world, here, 8, 0, 0);
                              }},
                             {"with less than no room for the address",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "ab", 2, 0);
                                receive_from(world, here, 8, 0, static_cast<socklen_t>(-1));
                                receive_from(world, here, 8, MSG_DONTWAIT);
                              }},
                             {"a stream has no sender",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                auto peer = world.will_send(there, {"ab"});
                                receive_from(world, here);
                              }},
                             {"a unix stream has no sender",
                              [](World& world) {
                                auto [here, there] = world.pair();
                                send(there, "ab", 2, 0);
                                receive_from(world, here);
                              }},
                             {"a nameless unix sender",
                              [](World& world) {
                                auto [here, there] = world.pair(SOCK_DGRAM);
                                auto peer = world.will_send(there, {"ab"});
                                receive_from(world, here);
                              }},
                             {"a stream's end",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                world.close(there);
                                receive_from(world, here);
                              }},
                             {"MSG_WAITALL",
                              [](World& world) {
                                auto [here, there] = world.tcp();
                                auto peer = world.will_send(there, {"ab", "cd"});
                                receive_from(world, here, 4, MSG_WAITALL);
                              }},
                             {"MSG_WAITALL of a unix stream",
                              [](World& world) {
                                auto [here, there] = world.pair();
                                auto peer = world.will_send(there, {"ab", "cd"});
                                receive_from(world, here, 4, MSG_WAITALL);
                              }},
                             {"MSG_TRUNC",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "abcdef", 6, 0);
                                receive_from(world, here, 2, MSG_TRUNC);
                              }},
                             {"does not wait when told so",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                receive_from(world, here, 8, MSG_DONTWAIT);
                              }},
                             {"does not wait on what is non-blocking",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                set_nonblocking(here);
                                receive_from(world, here);
                              }},
                             {"ends at its limit",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                set_limit(here, SO_RCVTIMEO, 30);
                                receive_from(world, here);
                              }},
                             {"an address but no room for its size",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "ab", 2, 0);
                                sockaddr_storage from{};
                                char bytes[8];
                                world.call("recvfrom", [&, here = here] {
                                  return recvfrom(here, bytes, sizeof bytes, 0,
                                                  reinterpret_cast<sockaddr*>(&from),
                                                  null<socklen_t>());
                                });
                              },
                              In::Greenlet, FERN_TRUTH_WILD},
                             {"an address that is nowhere",
                              [](World& world) {
                                auto [here, there] = world.udp();
                                send(there, "ab", 2, 0);
                                char bytes[8];
                                socklen_t size = 16;
                                world.call("recvfrom", [&, here = here] {
                                  return recvfrom(here, bytes, sizeof bytes, 0, wild<sockaddr>(),
                                                  &size);
                                });
                                world.note("size", size);
                              },
                              In::Greenlet, FERN_TRUTH_WILD},
                             {"a bad descriptor", [](World& world) { receive_from(world, -1); }},
                             {"what is no socket",
                              [](World& world) {
                                auto [here, there] = world.pipe();
                                receive_from(world, here);
                                receive_from(world, here, 8, MSG_WAITALL);
                              }},
                         });

}  // namespace
