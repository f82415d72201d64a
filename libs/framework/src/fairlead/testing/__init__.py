"""Testing a Fairlead application: the pytest plugin, clients in memory and clients over a real socket."""
