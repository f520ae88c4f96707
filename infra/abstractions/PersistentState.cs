namespace Orleans.Runtime
{
    // At home in Orleans.Runtime. The official attribute implements two interfaces more, which grain code never names.

    /// <summary>Stand-in for the official interface.</summary>
    public interface IPersistentState<TState> : Orleans.Core.IStorage<TState>
    {
    }

    /// <summary>Stand-in for the official attribute.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public class PersistentStateAttribute : Attribute
    {
        /// <summary>Creates the attribute.</summary>
        public PersistentStateAttribute(string stateName, string? storageName = null)
        {
            StateName = stateName;
            StorageName = storageName;
        }

        /// <summary>The state's name.</summary>
        public string StateName { get; }

        /// <summary>The storage provider's name.</summary>
        public string? StorageName { get; }
    }
}

namespace Orleans.Storage
{
    // At home in Orleans.Core.

    /// <summary>Stand-in for the official exception.</summary>
    public class InconsistentStateException : Orleans.Runtime.OrleansException
    {
        /// <summary>Creates the exception.</summary>
        public InconsistentStateException()
        {
        }

        /// <summary>Creates the exception.</summary>
        public InconsistentStateException(string message)
            : base(message)
        {
        }

        /// <summary>Creates the exception.</summary>
        public InconsistentStateException(string message, Exception? innerException)
            : base(message, innerException!)
        {
        }

        /// <summary>Creates the exception.</summary>
        public InconsistentStateException(string errorMsg, string? storedEtag, string? currentEtag)
            : base(errorMsg)
        {
            StoredEtag = storedEtag;
            CurrentEtag = currentEtag;
        }

        /// <summary>The tag found in storage.</summary>
        public string? StoredEtag { get; }

        /// <summary>The tag that the writer had.</summary>
        public string? CurrentEtag { get; }
    }
}
