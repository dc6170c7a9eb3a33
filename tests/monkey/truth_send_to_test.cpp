// The truth about sendto.

#include "monkey/truth_send.hpp"

#include <array>

using namespace fern::truth;

namespace {

void send_to(World& world, int fd, const sockaddr_in& name, socklen_t size = sizeof(sockaddr_in)) {
  world.call("sendto", [&] {
    return sendto(fd, "abc", 3, 0, reinterpret_cast<const sockaddr*>(&name), size);
  });
}

const Rows sendto_rows(
    "Sendto",
    {
        {"a datagram to somebody",
         [](World& world) {
           int to = bound_udp(world);
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = name_of(to);
           send_to(world, here, name);
           world.note("arrived", read_all(to, 3));
         }},
        {"a connection needs no address",
         [](World& world) {
           auto [here, there] = world.tcp();
           world.call("sendto", [here] { return sendto(here, "abc", 3, 0, nullptr, 0); });
           world.note("arrived", read_all(there, 3));
         }},
        {"a unix connection wants no address",
         [](World& world) {
           auto [here, there] = world.pair();
           sockaddr_in name = loopback(1);
           send_to(world, here, name);
         }},
        {"a connection does not mind an address",
         [](World& world) {
           auto [here, there] = world.tcp();
           sockaddr_in name = loopback(1);
           send_to(world, here, name);
           world.note("arrived", read_all(there, 3));
         }},
        {"nobody's address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           world.call("sendto", [&] { return sendto(here, "abc", 3, 0, nullptr, 0); });
         }},
        {"an address of another family",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           name.sin_family = AF_UNIX;
           send_to(world, here, name);
         }},
        {"half an address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           send_to(world, here, name, 6);
         }},
        {"more than an address",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           std::array<char, 1024> name{};
           world.call("sendto", [&] {
             return sendto(here, "abc", 3, 0, reinterpret_cast<sockaddr*>(name.data()), 1024);
           });
         }},
        {"an address that is nowhere",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           world.call("sendto", [&] { return sendto(here, "abc", 3, 0, wild<sockaddr>(), 16); });
         },
         In::Greenlet, FERN_TRUTH_WILD},
        {"port nothing",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(0);
           send_to(world, here, name);
         }},
        {"everybody, without having asked",
         [](World& world) {
           int here = world.own(socket(AF_INET, SOCK_DGRAM, 0));
           sockaddr_in name = loopback(1);
           name.sin_addr.s_addr = htonl(INADDR_BROADCAST);
           send_to(world, here, name);
         }},
        {"all of much",
         [](World& world) {
           auto [here, there] = world.tcp();
           const std::string bytes(much, 's');
           note_drained(world, there, here, [&, here = here] {
             world.call("sendto", [&, here = here] {
               return sendto(here, bytes.data(), bytes.size(), 0, nullptr, 0);
             });
           });
         }},
        {"a bad descriptor",
         [](World& world) {
           world.call("sendto", [] { return sendto(-1, "abc", 3, 0, nullptr, 0); });
         }},
        {"what is no socket",
         [](World& world) {
           auto [here, there] = world.pipe();
           world.call("sendto", [there] { return sendto(there, "abc", 3, 0, nullptr, 0); });
         }},
    });

}  // namespace
