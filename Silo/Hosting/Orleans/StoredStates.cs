namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>
/// A moved grain of this product reads its state from storage, as after a failover, where Orleans would have the old activation send what it has in memory: after
/// a write whose outcome is unknown that need not be what is stored. The states of other grains move as ever.
/// </summary>
internal sealed class StoredStates : PersistentStateFactory, IPersistentStateFactory
{
    IPersistentState<TState> IPersistentStateFactory.Create<TState>(IGrainContext context, IPersistentStateConfiguration config)
    {
        var state = Create<TState>(context, config);
        if (config.StorageName == "streams" && state is IGrainMigrationParticipant participant)
        {
            context.ObservableLifecycle.RemoveMigrationParticipant(participant);
        }

        return state;
    }
}
