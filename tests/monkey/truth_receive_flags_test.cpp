// The truth about recv: its sizes and its flags.

#include "monkey/truth_receive.hpp"

using namespace fern::truth;

namespace {

void waits_for_the_rest(World& world, std::pair<int, int> ends) {
  auto peer = world.will_send(ends.second, {"ab", "cdef"});
  receive_once(world, ends.first, 5, MSG_WAITALL);
  receive_once(world, ends.first);
}

const Rows flag_rows("Recv",  // with less room, and with flags
                     {
                         {"with room for nothing takes nothing of a stream",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            send(there, "ab", 2, 0);
                            receive_once(world, here, 0);
                            receive_once(world, here);
                          }},
                         {"with room for nothing waits all the same",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer = world.will_send(there, {"ab"});
                            receive_once(world, here, 0);
                            receive_once(world, here);
                          }},
                         {"with room for nothing waits for a unix peer",
                          [](World& world) {
                            auto [here, there] = world.pair();
                            auto peer = world.will_send(there, {"ab"});
                            receive_once(world, here, 0);
                            receive_once(world, here);
                          }},
                         {"with room for nothing throws a datagram away",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            send(there, "ab", 2, 0);
                            send(there, "cd", 2, 0);
                            receive_once(world, here, 0);
                            receive_once(world, here);
                          }},
                         {"takes an empty datagram for one",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            auto peer = world.when_waiting([there] {
                              send(there, "", 0, 0);
                              send(there, "ab", 2, 0);
                            });
                            receive_once(world, here);
                            receive_once(world, here);
                          }},
                         {"cuts a datagram",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            send(there, "abcdef", 6, 0);
                            send(there, "gh", 2, 0);
                            receive_once(world, here, 4);
                            receive_once(world, here, 4);
                          }},
                         {"MSG_TRUNC says how long a datagram was",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            auto peer = world.will_send(there, {"abcdef"});
                            receive_once(world, here, 4, MSG_TRUNC);
                          }},
                         {"MSG_TRUNC throws a stream's bytes away",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            send(there, "abcdef", 6, 0);
                            receive_once(world, here, 4, MSG_TRUNC);
                            receive_once(world, here, 4);
                          }},
                         {"MSG_PEEK leaves what it saw",
                          [](World& world) {
                            auto [here, there] = world.pair();
                            auto peer = world.will_send(there, {"abc"});
                            receive_once(world, here, 2, MSG_PEEK);
                            receive_once(world, here, 8, MSG_PEEK);
                            receive_once(world, here);
                          }},
                         {"MSG_PEEK and MSG_WAITALL over loopback",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer = world.will_send(there, {"ab", "cd"});
                            receive_once(world, here, 4, MSG_PEEK | MSG_WAITALL);
                            receive_once(world, here, 4);
                          }},
                         {"MSG_PEEK and MSG_WAITALL to the end",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer = world.when_waiting([there, &world] {
                              send(there, "ab", 2, 0);
                              world.until_waiting();
                              world.close(there);
                            });
                            receive_once(world, here, 4, MSG_PEEK | MSG_WAITALL);
                            receive_once(world, here, 4);
                          }},
                         {"MSG_PEEK and MSG_WAITALL within a limit",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            set_limit(here, SO_RCVTIMEO, 30);
                            send(there, "ab", 2, 0);
                            receive_within_limit(world, here, 4, MSG_PEEK | MSG_WAITALL);
                            receive_once(world, here, 4);
                          }},
                         {"MSG_WAITALL waits for the rest",
                          [](World& world) { waits_for_the_rest(world, world.pair()); }},
                         {"MSG_WAITALL over loopback waits for the rest",
                          [](World& world) { waits_for_the_rest(world, world.tcp()); }},
                         {"MSG_WAITALL with all there does not wait",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            send(there, "abcdef", 6, 0);
                            receive_once(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL ends with the stream",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer = world.when_waiting([there, &world] {
                              send(there, "ab", 2, 0);
                              world.until_waiting();
                              world.close(there);
                            });
                            receive_once(world, here, 5, MSG_WAITALL);
                            receive_once(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL with a part tells of the reset afterwards",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer = world.when_waiting([there, &world] {
                              send(there, "ab", 2, 0);
                              world.until_waiting();
                              reset(world, there);
                            });
                            receive_once(world, here, 5, MSG_WAITALL);
                            receive_once(world, here, 5, MSG_WAITALL);
                            receive_once(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL without anything tells of the reset",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            auto peer =
                                world.when_waiting([there, &world] { reset(world, there); });
                            receive_once(world, here, 5, MSG_WAITALL);
                            receive_once(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL ends at its limit with a part",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            set_limit(here, SO_RCVTIMEO, 30);
                            send(there, "ab", 2, 0);
                            receive_within_limit(world, here, 5, MSG_WAITALL);
                            receive_within_limit(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL on what is non-blocking takes what is there",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            set_nonblocking(here);
                            receive_once(world, here, 5, MSG_WAITALL);
                            send(there, "ab", 2, 0);
                            receive_once(world, here, 5, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL and MSG_DONTWAIT take what is there",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            receive_once(world, here, 5, MSG_WAITALL | MSG_DONTWAIT);
                            send(there, "ab", 2, 0);
                            receive_once(world, here, 5, MSG_WAITALL | MSG_DONTWAIT);
                          }},
                         {"MSG_WAITALL takes one datagram",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            send(there, "ab", 2, 0);
                            send(there, "cd", 2, 0);
                            receive_once(world, here, 8, MSG_WAITALL);
                          }},
                         {"MSG_WAITALL takes one packet",
                          [](World& world) {
                            auto [here, there] = world.pair(SOCK_SEQPACKET);
                            auto peer = world.when_waiting([there] {
                              send(there, "ab", 2, 0);
                              send(there, "cd", 2, 0);
                            });
                            receive_once(world, here, 8, MSG_WAITALL);
                            receive_once(world, here, 1);
                          }},
                         {"MSG_WAITALL of nothing",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            send(there, "ab", 2, 0);
                            receive_once(world, here, 0, MSG_WAITALL);
                            receive_once(world, here);
                          }},
                         {"MSG_OOB without any",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            receive_once(world, here, 1, MSG_OOB);
                          }},
                         {"MSG_OOB takes the urgent byte",
                          [](World& world) {
                            auto [here, there] = world.tcp();
                            send(there, "abc", 3, MSG_OOB);
                            receive_once(world, here, 1, MSG_OOB);
                            receive_once(world, here);
                          }},
                         {"MSG_ERRQUEUE without anything",
                          [](World& world) {
                            auto [here, there] = world.udp();
                            receive_once(world, here, 8, MSG_ERRQUEUE);
                          }},
                         {"MSG_ERRQUEUE of a unix socket means nothing",
                          [](World& world) {
                            for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
                              auto [here, there] = world.pair(type);
                              auto peer = world.will_send(there, {"ab"});
                              receive_once(world, here, 8, MSG_ERRQUEUE);
                            }
                          }},
                         {"MSG_CMSG_CLOEXEC and MSG_NOSIGNAL mean nothing here",
                          [](World& world) {
                            auto [here, there] = world.pair();
                            auto peer = world.will_send(there, {"ab"});
                            receive_once(world, here, 8, MSG_CMSG_CLOEXEC | MSG_NOSIGNAL);
                          }},
                         {"flags that nobody knows",
                          [](World& world) {
                            auto [here, there] = world.pair();
                            auto peer = world.will_send(there, {"ab"});
                            receive_once(world, here, 8, 1 << 27);
                          }},
                     });

}  // namespace
