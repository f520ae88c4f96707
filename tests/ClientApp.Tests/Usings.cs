global using OrleansStreams.Silo.Tests;
