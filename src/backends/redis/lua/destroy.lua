-- destroy: remove all of the queue at once; the server frees the memory later, in the background. Who waits stays
-- known: that is no part of the queue, and ends by itself.
-- KEYS ready jobs running leases calls holders remembered succeeded failed timed_out broken seq inbox wakes
-- ARGV now
-- ->   nothing
exec('UNLINK', unpack(KEYS))
