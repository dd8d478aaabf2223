{# Brian2's synapses; where the synapses of a source are a contiguous row onto contiguous targets, the queue holds sources
   and their rows are gone through without index arrays: several at a time where that gives the same numbers, so that a
   target stays in a register. #}
{% extends 'common_synapses.cpp' %}

{% block maincode %}
    {% set independent = vector_code|text|independent(variables) %}
{% macro rows(count) %}
            size_t _first[{{count}}], _pre[{{count}}];
            for(int _row=0; _row<{{count}}; _row++)
            {
                _first[_row] = _rows.first[_events[_event + _row]];
                _pre[_row] = _rows.pre + _events[_event + _row];
            }
            const size_t _post = _rows.post[_events[_event]], _length = _rows.length[_events[_event]];
            {% if independent %}
            #pragma GCC ivdep
            {% endif %}
            for(size_t _k=0; _k<_length; _k++)
            {
                {% for row in range(count) %}
                {
                    const size_t _idx = _first[{{row}}] + _k;
                    const size_t _vectorisation_idx = _idx;
                    {{vector_code|text|in_row(row)|autoindent}}
                }
                {% endfor %}
            }
{% endmacro %}
    // scalar code
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const rwta_sim::Rows& _rows = rwta_sim::rows_{{pathway.name}};
    const std::vector<int32_t>& _events = *{{pathway.name}}.queue[0]->peek();
    const size_t _num_events = _events.size();
    size_t _event = 0;
    if(_rows.contiguous)
    {
        {% if independent %}
        for(; _event + 4 <= _num_events && _rows.uniform; _event += 4)
        {
            {{rows(4)}}
        }
        {% endif %}
        for(; _event < _num_events; _event++)
        {
            {{rows(1)}}
        }
    }
    for(; _event < _num_events; _event++)
    {
        const size_t _idx = _events[_event];
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
